// What is measured, by name and unit.

import {t} from "./texts.js";

const UNITS = { Cel: "°C", "kW.h": "kWh", "1": "" };

// What we have words for; whatever else a profile measures is shown by the name that it gives.
const NAMED = new Set([
  "temperature", "humidity", "voltage", "current", "active_power", "power_factor", "frequency", "import_energy",
  "export_energy", "total_energy", "contact", "tamper", "exit_button", "lock_relay", "relay",
]);

export function curveName(resource) {
  return NAMED.has(resource) ? t(`curve.${resource}`) : resource.replaceAll("_", " ");
}

export function quantity(number, unit) {
  const digits = Math.abs(number) >= 100 ? 1 : 2;
  return `${Number(number.toFixed(digits))} ${unit in UNITS ? UNITS[unit] : unit || ""}`.trim();
}

export function valueText({ resource, value, unit }) {
  return `${curveName(resource)} ${typeof value === "number" ? quantity(value, unit) : value ?? "–"}`;
}
