import {api} from "../api.js";
import {h, parts, put, show} from "../dom.js";
import {row} from "../rows.js";
import {startShell} from "../shell.js";
import {dateOf, may, named, now, t} from "../texts.js";

const DAY_MS = 86400000;
const form = document.getElementById("filters");
const refs = parts(document.getElementById("main"));
const names = new Map();
let cursor = null;
let turn = 0;

// Midnight in the campus' zone, however the desk's own clock is set.
function midnight(at) {
  const zone = new Intl.DateTimeFormat("en-GB", { timeZone: refs.list.dataset.zone, timeZoneName: "longOffset" });
  const offset = zone.formatToParts(at).find((part) => part.type === "timeZoneName").value.slice(3) || "+00:00";
  return new Date(`${dateOf(at)}T00:00:00${offset}`).toISOString();
}

const SPANS = {
  m15: () => ({ since: new Date(now() - 15 * 60000).toISOString() }),
  today: () => ({ since: midnight(now()) }),
  yesterday: () => ({ since: midnight(now() - DAY_MS), until: midnight(now()) }),
  week: () => ({ since: new Date(now() - 7 * DAY_MS).toISOString() }),
  all: () => ({}),
};

function query() {
  const wanted = { limit: "50", ...SPANS[form.span.value || "today"]() };
  if (form.topic.value) wanted.topic = form.topic.value;
  if (form.device.value.trim()) wanted.device = form.device.value.trim();
  if (cursor) wanted.cursor = cursor;
  return new URLSearchParams(wanted);
}

function where({ device }) {
  if (device === "@campus") return t("events.campus");
  if (!may("wall", "guard", "lead", "ops", "district", "admin")) return device;
  return h("a", { href: device.includes("/") ? `/devices/${device}` : `/edges/${device}` }, names.get(device) || device);
}

async function load(fresh) {
  const mine = ++turn;
  if (fresh) cursor = null;
  refs.more.disabled = true;
  show(refs.told, false);
  try {
    const page = await api(`/events?${query()}`);
    if (mine !== turn) return;
    if (fresh) refs.list.replaceChildren();
    refs.list.append(...page.items.map((one) => row(one, { where: where(one) })));
    cursor = page.next;
  } catch (error) {
    put(refs.told, error.text);
    show(refs.told, true);
  }
  show(refs.more, cursor !== null);
  show(refs.none, refs.list.children.length === 0);
  refs.more.disabled = false;
}

function remember() {
  const kept = new URLSearchParams();
  for (const name of ["span", "topic", "device"]) if (form[name].value.trim()) kept.set(name, form[name].value.trim());
  history.replaceState(null, "", `?${kept}`);
}

async function begin() {
  const asked = new URLSearchParams(location.search);
  for (const name of ["span", "topic", "device"]) if (asked.has(name)) form[name].value = asked.get(name);
  const known = await api("/devices").catch(() => ({ items: [] }));
  for (const one of known.items) {
    const name = named({ name: one.display_name, name_en: one.display_name_en, device: one.device });
    names.set(one.device, name);
    refs.devices.append(h("option", { value: one.device }, name));
  }
  await load(true);
}

startShell();
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", () => {
  remember();
  load(true);
});
refs.more.addEventListener("click", () => load(false));
begin();
