import {api} from "../api.js";
import {h, icon, parts, put, show} from "../dom.js";
import {byTrouble, deviceName, deviceState, edgeState, facts, stateAge} from "../health.js";
import {startShell} from "../shell.js";
import {every} from "../ticker.js";
import {ago, boot, known, number, span, t} from "../texts.js";

const id = boot.data.edge;
const refs = parts(document.getElementById("main"));

function lane([name, one]) {
  const dropped = Object.values(one.dropped || {}).reduce((sum, count) => sum + count, 0);
  return h(
    "tr",
    { "data-tone": one.queued || dropped || one.quarantined ? "denied" : "" },
    h("th", { scope: "row" }, t(`edge.lane.${name}`)),
    ...[one.accepted, one.acknowledged, one.queued].map((count) => h("td", { class: "number" }, number(count))),
    h("td", null, one.queued ? span((one.oldest_age_s || 0) * 1000) : "–"),
    ...[dropped, one.quarantined || 0].map((count) => h("td", { class: "number" }, number(count))),
  );
}

function device(one) {
  return h("tr", null, h("td", null, deviceState(one), h("span", { class: "muted" }, stateAge(one))), h("td", { class: "wide" }, h("a", { href: `/devices/${one.device}` }, deviceName(one))), h("td", null, one.place), h("td", null, ago(one.last_received)));
}

async function look() {
  let edge;
  try {
    edge = await api(`/edges/${id}`);
  } catch (error) {
    if (error.status !== 404) throw error;
    put(refs.told, error.text);
    return show(refs.told, true);
  }
  refs.state.replaceChildren(edgeState(edge));
  put(refs.age, edge.silent_s === null ? t("health.never") : t("span.ago", { span: span(edge.silent_s * 1000) }));
  facts(refs.facts, [
    [t("edge.software"), edge.software],
    [t("edge.clock"), edge.clock && t(`health.clock.${edge.clock}`)],
    [t("edge.records"), number(edge.records || 0)],
    [t("edge.last"), edge.last_received && ago(edge.last_received)],
    [t("edge.births"), edge.births === undefined ? null : number(edge.births)],
    [t("edge.forks"), edge.forks ? number(edge.forks) : null],
    [t("edge.epoch"), edge.epoch && edge.epoch.slice(0, 8)],
  ]);
  show(refs.away, edge.state !== "live");
  refs.lanes.replaceChildren(...Object.entries(edge.lanes || {}).sort().map(lane));
  const counters = Object.entries(edge.counters || {}).sort();
  refs.counters.replaceChildren(...counters.map(([name, value]) => h("div", { "data-zero": value === 0 }, h("dt", null, known(`edge.counter.${name}`) ? t(`edge.counter.${name}`) : name), h("dd", null, number(value)))));
  const found = (await api(`/devices?edge=${encodeURIComponent(id)}`)).items.sort(byTrouble);
  refs.devices.replaceChildren(...found.map(device));
  show(refs.none, found.length === 0);
}

startShell();
refs.name.prepend(icon("box"));
every(5000, look);
