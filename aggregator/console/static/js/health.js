// Devices and boxes in words: worst first, and what a state is shown with.

import {h, icon} from "./dom.js";
import {named, since, t} from "./texts.js";

const DEVICE_ICONS = { DOWN: "close", SILENT: "link-off", UNKNOWN: "question", UP: "check" };
const EDGE_ICONS = { silent: "link-off", unheard: "question", revoked: "ban", live: "check" };
const ORDER = ["DOWN", "SILENT", "UNKNOWN", "UP"];

export function deviceName(device) {
  return named({ name: device.display_name, name_en: device.display_name_en, device: device.device });
}

export function byTrouble(a, b) {
  return ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.device.localeCompare(b.device, undefined, { numeric: true });
}

export function deviceState(device) {
  return h("span", { class: "state", "data-health": device.state }, icon(DEVICE_ICONS[device.state]), t(`health.state.${device.state}`));
}

export function edgeState(edge) {
  const known = { silent: "SILENT", unheard: "UNKNOWN", revoked: "DOWN", live: "UP" }[edge.state];
  return h("span", { class: "state", "data-health": known }, icon(EDGE_ICONS[edge.state]), t(`health.edge.${edge.state}`));
}

export function stateIconName(device) {
  return DEVICE_ICONS[device.state];
}

// A box that is away is said to be so; its device was last seen in another state.
export function stateAge(device) {
  if (device.state === "SILENT") return t("health.before", { state: t(`health.state.${device.last_state}`) });
  return device.state_since ? since(device.state_since) : "";
}

export function facts(list, pairs) {
  const nodes = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)));
  list.replaceChildren(...nodes);
}
