// What people do about alarms. Taking one is shown at once and taken back when somebody else was first; resolving waits.

import {alarmTitle} from "./alarm-words.js";
import {api} from "./api.js";
import {live, takeAlarms, taking} from "./live.js";
import {boot, t} from "./texts.js";
import {toast} from "./toast.js";

export async function acknowledge(alarm) {
  if (!alarm || alarm.state !== "new") return;
  taking.set(alarm.id, { state: "acked", acked_by: boot.user.name, acked_at: live.at });
  takeAlarms([alarm]);
  try {
    takeAlarms([await api(`/alarms/${alarm.id}/ack`, { method: "POST", body: {} })]);
    taking.delete(alarm.id);
  } catch (error) {
    taking.delete(alarm.id);
    const known = live.alarms.get(alarm.id);
    // Unless the stream has brought the truth meanwhile.
    if (known?.acked_by === boot.user.name) takeAlarms([{ ...known, state: "new", acked_by: null, acked_at: null }], false);
    toast("failed", error.code === "already_acked" ? t("alarm.taken_by", { name: error.params.by || t("alarm.somebody") }) : error.text);
    refresh(alarm.id);
  }
}

export async function refresh(id) {
  const alarm = await api(`/alarms/${id}`).catch(() => null);
  if (alarm) takeAlarms([alarm], false);
}

export async function resolve(alarm, body) {
  takeAlarms([await api(`/alarms/${alarm.id}/resolve`, { method: "POST", body })]);
  toast("done", t("alarm.resolved_toast", { kind: alarmTitle(alarm) }));
}
