import {api, newKey} from "../api.js";
import {choose, open} from "../dialog.js";
import {clone, mark, put, setIcon, show} from "../dom.js";
import {named, number, t} from "../texts.js";

const PHASE_ICONS = { idle: "key", sending: "clock", sent: "clock", taken: "clock", confirmed: "check", unconfirmed: "warning", refused: "warning" };
const LOOK_EVERY_MS = 200;
// A command that a box takes is over within eleven seconds, and its end needs a moment to arrive.
const LOOKS_MAX = 75;

// One door, once: a reason first, and then nothing is said that the controller has not said.
export function openUnlock(door) {
  if (document.querySelector("dialog[open]")) return null;
  const dialog = clone("unlock");
  const { refs } = dialog;
  const form = dialog.querySelector("form");
  put(refs.title, t("unlock.title", { name: named(door) }));
  put(refs.about, [door.place, t("unlock.once")].filter(Boolean).join(" · "));
  let key = newKey();

  function tell(name, text) {
    mark(dialog, "phase", name);
    setIcon(refs.icon, PHASE_ICONS[name]);
    put(refs.text, text);
    show(refs.phase, true);
  }

  function reason() {
    return [form.reason.value, form.free.value.trim()].filter(Boolean).join(" · ");
  }

  function end(name, text, again) {
    tell(name, text);
    put(refs.leave, t("dialog.close"));
    put(refs.send, t("unlock.retry"));
    show(refs.send, again);
    refs.send.disabled = false;
    (again ? refs.send : refs.leave).focus();
  }

  async function ask() {
    refs.send.disabled = true;
    tell("sending", t("unlock.sending"));
    let answer;
    try {
      answer = await api("/commands", {
        method: "POST",
        body: { device: door.device, name: "AccessDoor", reason: reason() },
        headers: { "Idempotency-Key": key },
      });
    } catch (error) {
      // Without an answer nobody knows whether it arrived; the same key makes asking again harmless.
      if (error.status !== 0) key = newKey();
      if (error.code === "box_unreachable") return end("refused", t("unlock.offline"), true);
      if (error.status === 403) return end("refused", t("unlock.forbidden"), false);
      return end("refused", error.text, true);
    }
    key = newKey();
    tell("sent", t("unlock.sent"));
    return follow(answer.items[0].id);
  }

  async function follow(id) {
    for (let look = 0; look < LOOKS_MAX && dialog.isConnected; look++) {
      await new Promise((done) => setTimeout(done, LOOK_EVERY_MS));
      const command = await api(`/commands/${id}`).catch(() => null);
      if (!command) continue;
      if (command.state === "taken") tell("taken", t("unlock.taken"));
      if (command.state !== "settled") continue;
      if (command.result === "succeeded") {
        const ms = Math.max(0, Date.parse(command.ended) - Date.parse(command.asked));
        return end("confirmed", t("unlock.confirmed", { ms: number(ms) }), false);
      }
      if (command.result === "rejected") return end("refused", t("unlock.rejected"), true);
      return end("unconfirmed", t(command.result === "unknown" ? "unlock.unknown" : "unlock.not_done"), true);
    }
    return end("unconfirmed", t("unlock.no_answer"), true);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (refs.send.disabled || refs.send.hidden) return;
    if (!form.reason.value && form.free.value.trim().length < 2) {
      tell("idle", t("unlock.no_reason"));
      form.querySelector("input").focus();
      return;
    }
    ask();
  });
  choose(dialog, form.reason, (input) => input.focus());
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.type !== "radio" || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  return open(dialog);
}
