import {alarmPlace, alarmTitle} from "../alarm-words.js";
import {refresh, resolve} from "../actions.js";
import {choose, open} from "../dialog.js";
import {clone, put, show} from "../dom.js";
import {may, t} from "../texts.js";

// Why an alarm is over: one of four causes, and a note where it matters.
export function openResolve(alarm) {
  const dialog = clone("resolve");
  const { refs } = dialog;
  const form = dialog.querySelector("form");
  put(refs.about, `${alarmTitle(alarm)} · ${alarmPlace(alarm)}`);

  const tell = (text) => {
    put(refs.told, text);
    show(refs.told, true);
  };
  const cause = () => form.cause.value;
  const needsNote = () => alarm.level === 1 || (alarm.level === 2 && cause() === "false");

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (refs.send.disabled) return;
    if (!cause()) return tell(t("resolve.no_cause"));
    if (needsNote() && form.note.value.trim().length < 2) {
      form.note.focus();
      return tell(t("resolve.no_note"));
    }
    refs.send.disabled = true;
    try {
      await resolve(alarm, { cause: cause(), note: form.note.value.trim(), ...(form.force.checked ? { force: true } : {}) });
      dialog.close();
    } catch (error) {
      tell(error.code === "already_resolved" ? t("resolve.already", { name: error.params.by || t("alarm.somebody") }) : error.text);
      if (error.code === "already_resolved") refresh(alarm.id);
      if (error.code === "still_active") show(refs.force, may("lead", "admin"));
      refs.send.disabled = error.code === "already_resolved";
    }
  });
  choose(dialog, form.cause, () => form.note.focus());
  return open(dialog);
}
