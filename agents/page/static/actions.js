// Acknowledge, accept, mute, mark: the commands of the same names, as buttons.
import { post, report } from "./api.js";
import { h, name } from "./dom.js";

const NAME = "tidegauge-name";
const HOURS = [["1 hour", 3600], ["4 hours", 14400], ["1 day", 86400], ["7 days", 604800], ["until it is unmuted", null]];
const DONE = { ack: "Acknowledged", accept: "Accepted as the new normal", mute: "Muted", unmute: "No longer muted", mark: "Marked" };

export function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { place.textContent = ""; }, 6000);
}

export function actions(data, health) {
  if (report) return null;
  if (!health.allows_actions) {
    return h("p", { class: "note" }, "This page only shows. With ", h("code", {}, "./tidegauge page --allow-actions"), " it can acknowledge, accept, mute and mark.");
  }
  const { alert } = data;
  const button = (label, verb, about, isPrimary) => h("button", {
    type: "button", class: `button${isPrimary ? " primary" : ""}`, "data-keep": `act-${about.key ?? verb}`,
    onclick: () => ask({ verb, label, alert, health, ...about }),
  }, label);
  return h("div", { class: "actions", role: "group", "aria-label": "Actions" },
    data.is_open && [
      button("Acknowledge", "ack", { text: "You look after it. Notifications of its updates stop." }, true),
      button("Accept as normal", "accept", { text: "The values since the onset become the new reference, and the alert ends." }),
      alert.muted_until ? button("Unmute", "unmute", { text: "Notifications resume." }) : button("Mute \u2026", "mute", { text: "No notifications for a while.", hours: true }),
    ],
    button("Mark true", "mark", { key: "true", verdict: "true", text: "The alert was right. Verdicts are counted by rule." }),
    button("Mark false", "mark", { key: "false", verdict: "false", text: "The alert was wrong. Verdicts are counted by rule." }),
    h("span", { class: "note" }, health.user ? ["as ", name(health.user)] : localStorage.getItem(NAME) && ["as ", name(localStorage.getItem(NAME))]));
}

function ask({ verb, label, alert, health, text, hours, verdict }) {
  const error = h("p", { class: "error", role: "alert" });
  const because = h("input", { type: "text", maxlength: "500", autocomplete: "off" });
  const by = health.asks_name && h("input", { type: "text", maxlength: "200", required: true, autocomplete: "name", value: localStorage.getItem(NAME) ?? "" });
  const time = hours && h("select", {}, HOURS.map(([shown, seconds]) => h("option", { value: seconds ?? "" }, shown)));
  const close = () => dialog.close();
  const send = h("button", { type: "submit", class: "button primary" }, label.replace(" \u2026", ""));
  const submit = async (event) => {
    event.preventDefault();
    send.disabled = true;
    error.textContent = "";
    try {
      const answer = await post("/api/controls", {
        verb, fingerprint: alert.fingerprint, verdict, because: because.value.trim() || null,
        by: by ? by.value : null, for_s: time && time.value ? Number(time.value) : null,
      });
      if (by) localStorage.setItem(NAME, by.value.trim());
      close();
      toast(`${DONE[verb]} by ${answer.by}. It takes effect once a worker has read it.`);
    } catch (problem) {
      error.textContent = problem.message;
      send.disabled = false;
    }
  };
  const dialog = h("dialog", { "aria-labelledby": "ask-title", onclose: () => dialog.remove() },
    h("form", { onsubmit: submit },
      h("h2", { id: "ask-title" }, label.replace(" \u2026", "")), h("p", { class: "note" }, text),
      time && h("label", {}, "For", time),
      by && h("label", {}, "Your name, kept in this browser", by),
      h("label", {}, "Reason (may be empty)", because), error,
      h("div", { class: "row" }, h("button", { type: "button", class: "button", onclick: close }, "Cancel"), send)));
  document.body.append(dialog);
  dialog.showModal();
}
