// How a door stands: a state in one word, worst first.

const TROUBLE = ["forced", "alarm", "held", "offline", "unknown"];
const STATE_ICONS = {
  forced: "door-alert",
  alarm: "warning",
  held: "door-clock",
  offline: "plug-off",
  unknown: "question",
  open: "door-open",
  unlocked: "unlock",
  locked: "lock",
  closed: "door",
  ready: "check",
};
const METHOD_ICONS = { Card: "card", Face: "face", Fingerprint: "finger", PIN: "keypad", QRCode: "qr", IDCard: "card", BLE: "card", Other: "user" };
const ALARMS = { DoorForcedOpen: "forced", DoorOpenTooLong: "held" };

export function doorState(door) {
  if (door.alarm && door.alarm !== "Normal") return ALARMS[door.alarm] || "alarm";
  if (door.state === "SILENT" || door.state === "DOWN") return "offline";
  return lastState(door) || (door.state === "UP" ? "ready" : "unknown");
}

// What its sensors said last; null for a device that has none.
export function lastState(door) {
  if (door.contact === "Open") return "open";
  if (door.lock === "Unlocked") return "unlocked";
  if (door.lock === "Locked") return "locked";
  return door.contact === "Closed" ? "closed" : null;
}

export function stateIcon(state) {
  return STATE_ICONS[state];
}

export function methodIcon(last) {
  return METHOD_ICONS[last && last.method] || METHOD_ICONS.Other;
}

export function rank(state) {
  const at = TROUBLE.indexOf(state);
  return at < 0 ? TROUBLE.length : at;
}

// granted, denied, command, exit: what an event at a door comes to, in one word.
export function resultOf(topic) {
  if (topic.startsWith("AccessControl/AccessGranted") || topic.startsWith("AccessControl/AccessTaken")) return "granted";
  if (topic.startsWith("AccessControl/Denied")) return "denied";
  if (topic.startsWith("AccessControl/AccessNotTaken")) return "not_taken";
  if (topic.startsWith("AccessControl/Duress")) return "duress";
  if (topic.startsWith("AccessControl/WrongTries")) return "wrong_tries";
  if (topic.startsWith("Attendance/")) return "punch";
  if (topic.startsWith("Badge/")) return "badge";
  if (topic === "Door/RequestToExit") return "exit";
  return "other";
}
