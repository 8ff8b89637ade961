// What an alarm is called and drawn with. A kind that a newer campus may know is shown by its own name.

import {known, named, t} from "./texts.js";

const KIND_ICONS = {
  door_forced: "door-alert",
  door_held: "door-clock",
  door_tamper: "warning",
  duress: "hand",
  wrong_tries: "keypad",
  fire: "fire",
  camera_tamper: "camera",
  camera_loss: "camera",
  camera_storage: "camera",
  camera_network: "camera",
  edge_silent: "link-off",
  fault: "plug-off",
  other: "warning",
};

export function alarmIcon(alarm) {
  return KIND_ICONS[alarm.kind] || KIND_ICONS[alarm.fault ? "fault" : "other"];
}

export function alarmTitle({ kind }) {
  return known(`alarm.kind.${kind}`) ? t(`alarm.kind.${kind}`) : kind.replaceAll("_", " ");
}

export function alarmPlace(alarm) {
  return [named(alarm), alarm.place].filter(Boolean).join(" · ");
}
