// Where data come from: the server, or the report that the page stands in.

const inside = document.getElementById("report-data");
export const report = inside ? JSON.parse(inside.textContent) : null;

const token = document.querySelector("meta[name=tidegauge-token]")?.content || "";

export async function get(path) {
  if (report) {
    const found = report.answers[path] ?? report.answers[path.split("?")[0]];
    return found === undefined ? null : found;
  }
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  if (response.status === 404) return null;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
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
