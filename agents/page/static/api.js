// Where data come from: the server, or the report that the page stands in.

const inside = document.getElementById("report-data");
export const report = inside ? JSON.parse(inside.textContent) : null;

const token = document.querySelector("meta[name=tidegauge-token]")?.content || "";

export async function get(path) {
  if (report) return answerInside(new URL(path, "http://report"));
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  if (response.status === 404) return null;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
}

function answerInside({ pathname, searchParams }) {
  const { answers } = report;
  if (pathname === "/api/models") return listInside(answers[pathname], searchParams.get("search").toLowerCase(), searchParams.get("state"));
  if (pathname === "/api/model") return answers[`/api/model ${searchParams.get("id")}`] ?? null;
  if (pathname !== "/api/alert") return null;
  const start = `/api/alert ${searchParams.get("fingerprint")}`;
  const episode = searchParams.get("episode");
  const found = Object.keys(answers).filter((key) => (episode ? key === `${start} ${episode}` : key.startsWith(start)));
  const alert = answers[found[found.length - 1]];
  if (!alert) return null;
  const { days, hours, row, episodes, shared } = answers[`/api/model ${alert.alert.model_id}`];
  const isBeside = (each) => alert.lanes.some(([fingerprint, number]) => each.fingerprint === fingerprint && each.episode === number);
  return { ...alert, days, hours, row, lanes: episodes.filter(isBeside), series: { ...shared[alert.alert.series], ...alert.series } };
}

const STATES = {
  all: () => true, open: (row) => row.rank < 3, critical: (row) => row.rank === 0,
  muted: (row) => row.muted > 0, calm: (row) => row.rank === 3,
};

function listInside(models, searched, state) {
  const rows = models.rows.filter((row) => STATES[state](row) && row.model_id.toLowerCase().includes(searched));
  return { ...models, rows, found: rows.length, page: 0 };
}

export async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Tidegauge-Token": token },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
}

// One stream for the whole page; the browser reconnects, and sends the last id.
export function follow(onChange, onHealth, onLost) {
  if (report) return;
  const stream = new EventSource("/api/live");
  stream.addEventListener("change", (event) => onChange(JSON.parse(event.data).models));
  stream.addEventListener("health", (event) => onHealth(JSON.parse(event.data)));
  stream.addEventListener("error", onLost);
}

// Addresses of views: paths on the server, fragments in a report, which opens from disk.
export function to(path) {
  return report ? `#${path}` : path;
}

export function here() {
  if (report) return new URL((location.hash || "#/").slice(1), "http://report");
  return new URL(location.href);
}

export function modelPath(modelId) {
  return to(`/model/${encodeURIComponent(modelId)}`);
}

export function alertPath(fingerprint, episode) {
  return to(`/alert/${encodeURIComponent(fingerprint)}${episode ? `?episode=${episode}` : ""}`);
}
