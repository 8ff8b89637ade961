import {api} from "../api.js";
import {h, icon, keyed, parts, put, setIcon, show} from "../dom.js";
import {byTrouble, deviceName, deviceState, edgeState, stateAge, stateIconName} from "../health.js";
import {startShell} from "../shell.js";
import {every} from "../ticker.js";
import {ago, known, number, span, t, when} from "../texts.js";

const form = document.getElementById("filters");
const refs = parts(document.getElementById("main"));
let devices = [];

const className = (device) => (known(`health.class.${device.device_class}`) ? t(`health.class.${device.device_class}`) : device.device_class || t("health.class.none"));

function edgeCard(edge) {
  const lanes = Object.values(edge.lanes || {});
  const queued = lanes.reduce((sum, lane) => sum + lane.queued, 0);
  const oldest = Math.max(0, ...lanes.map((lane) => (lane.queued ? lane.oldest_age_s || 0 : 0)));
  const set = (name, value) => h("div", null, h("dt", null, t(`health.fact.${name}`)), h("dd", null, value));
  const heard = edge.silent_s === null ? t("health.never") : t("span.ago", { span: span(edge.silent_s * 1000) });
  return h(
    "article",
    { class: "card box", "data-state": edge.state },
    h("header", null, h("h3", null, icon("box"), h("a", { href: `/edges/${edge.edge}` }, edge.edge)), edgeState(edge)),
    h("dl", { class: "facts" }, set("heard", heard), set("queued", edge.lanes ? number(queued) : "–"), queued > 0 && set("oldest", span(oldest * 1000)), edge.clock && set("clock", t(`health.clock.${edge.clock}`)), set("records", number(edge.records || 0))),
  );
}

function chip(device) {
  const node = h("a", { class: "chip-device", href: `/devices/${device.device}` }, icon("check"), h("span", { class: "unseen" }));
  return node;
}

function drawChip(node, device) {
  node.dataset.health = device.state;
  setIcon(node.firstElementChild, stateIconName(device));
  const text = `${deviceName(device)} · ${t(`health.state.${device.state}`)}`;
  node.title = text;
  put(node.lastElementChild, text);
}

function group(edge) {
  return h("section", { class: "map-group" }, h("h3", null, edge), h("div", { class: "map" }));
}

function row(device) {
  return h(
    "tr",
    { "data-health": device.state },
    h("td", null, deviceState(device), h("span", { class: "muted" }, stateAge(device))),
    h("td", { class: "wide" }, h("a", { href: `/devices/${device.device}` }, deviceName(device)), h("span", { class: "muted" }, device.device)),
    h("td", { class: "brief" }, device.place),
    h("td", { class: "brief" }, className(device)),
    h("td", { class: "desk" }, device.protocol),
    h("td", { class: "brief", title: when(device.last_received) }, ago(device.last_received)),
    h("td", { class: "number desk" }, number(device.records)),
  );
}

function draw() {
  const state = form.state.value;
  const text = form.text.value.trim().toLowerCase();
  const shown = devices.filter((one) => (!state || one.state === state) && (!text || [one.device, one.display_name, one.display_name_en, one.place, one.protocol].join(" ").toLowerCase().includes(text)));
  refs.list.replaceChildren(...shown.map(row));
  show(refs.none, shown.length === 0);
  const boxes = [...new Set(devices.map((one) => one.edge))].sort();
  keyed(refs.map, boxes, (edge) => edge, group, (node, edge) => keyed(node.lastElementChild, devices.filter((one) => one.edge === edge), (one) => one.device, chip, drawChip));
  const count = (one) => devices.filter((device) => device.state === one).length;
  for (const option of form.state.options) if (option.value) option.textContent = `${t(`health.state.${option.value}`)} (${count(option.value)})`;
}

async function look() {
  const [boxes, found] = await Promise.all([api("/edges"), api("/devices")]);
  devices = found.items.sort(byTrouble);
  const edges = await Promise.all(boxes.items.map((edge) => (edge.state === "live" ? api(`/edges/${edge.edge}`).catch(() => edge) : edge)));
  edges.sort((a, b) => (a.state === "live") - (b.state === "live"));
  refs.edges.replaceChildren(...edges.map(edgeCard));
  show(refs.empty, edges.length === 0);
  draw();
}

const asked = new URLSearchParams(location.search);
for (const name of ["state", "text"]) if (asked.has(name)) form[name].value = asked.get(name);
startShell();
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  const kept = new URLSearchParams();
  for (const name of ["state", "text"]) if (form[name].value) kept.set(name, form[name].value);
  history.replaceState(null, "", `?${kept}`);
  draw();
});
every(5000, look);
