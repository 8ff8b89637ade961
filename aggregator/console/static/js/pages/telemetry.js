import {api} from "../api.js";
import {RANGES, drawCurves} from "../curves.js";
import {h, parts, put, show} from "../dom.js";
import {deviceName} from "../health.js";
import {startShell} from "../shell.js";
import {every} from "../ticker.js";

const refs = parts(document.getElementById("main"));
const form = document.getElementById("filters");
let devices = [];

function chosen() {
  return devices.find((one) => one.device === form.device.value);
}

async function draw() {
  const device = chosen();
  if (!device) return;
  show(refs.told, false);
  try {
    await drawCurves(refs.charts, device.device, device.curves, form.range.value);
  } catch (error) {
    put(refs.told, error.text || String(error));
    show(refs.told, true);
  }
}

function chose() {
  history.replaceState(null, "", `?${new URLSearchParams({ device: form.device.value, range: form.range.value })}`);
  refs.charts.replaceChildren();
  return draw();
}

async function begin() {
  const asked = new URLSearchParams(location.search);
  devices = (await api("/devices")).items.filter((one) => one.curves.length);
  // Sensors first: whoever comes here wants weather and power, not the coils of a door.
  const weight = (one) => (["environment", "energy"].includes(one.device_class) ? 0 : 1);
  devices.sort((a, b) => weight(a) - weight(b) || a.device.localeCompare(b.device, undefined, { numeric: true }));
  form.device.replaceChildren(...devices.map((one) => h("option", { value: one.device }, [deviceName(one), one.place].filter(Boolean).join(" · "))));
  if (devices.some((one) => one.device === asked.get("device"))) form.device.value = asked.get("device");
  form.range.value = asked.get("range") in RANGES ? asked.get("range") : "24h";
  show(refs.none, devices.length === 0);
  show(form, devices.length > 0);
  form.addEventListener("change", chose);
  form.addEventListener("submit", (event) => event.preventDefault());
  every(30000, draw);
}

startShell();
begin();
