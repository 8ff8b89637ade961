// What each kind of alarm is drawn with.

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
};

export function alarmIcon(alarm) {
  return KIND_ICONS[alarm.kind] || (alarm.fault ? "plug-off" : "warning");
}
