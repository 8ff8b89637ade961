import {alarmIcon, alarmPlace, alarmTitle} from "../alarm-words.js";
import {api} from "../api.js";
import {h, icon, parts, put, show} from "../dom.js";
import {onDraw} from "../live.js";
import {startShell} from "../shell.js";
import {known, number, since, span, t, when} from "../texts.js";

const refs = parts(document.getElementById("main"));
const tabs = [...document.querySelectorAll("[role=tab]")];
const form = document.getElementById("filters");
let state = new URLSearchParams(location.search).get("state") || "open";
let cursor = null;
let turn = 0;

function row(alarm) {
  const level = alarm.fault ? t("alarm.fault") : t(`alarm.level.${alarm.level}`);
  const end = alarm.resolved_at || alarm.cleared_at;
  const lasted = end ? span(Date.parse(end) - Date.parse(alarm.first_at)) : since(alarm.first_at);
  return h(
    "tr",
    { "data-level": alarm.fault ? "fault" : String(alarm.level), "data-state": alarm.state },
    h("td", { class: "level" }, icon(alarmIcon(alarm)), level),
    h("td", { class: "wide" }, h("a", { href: `/alarms/${alarm.id}` }, alarmTitle(alarm)), alarm.count > 1 && h("b", { class: "times" }, ` ×${alarm.count}`), alarm.historical && h("span", { class: "tag" }, t("feed.historical")), h("span", { class: "muted" }, alarmPlace(alarm))),
    h("td", { class: "time" }, when(alarm.first_at), h("span", { class: "muted" }, lasted)),
    h("td", null, h("span", { class: "state" }, t(`alarm.state.${alarm.state}`)), h("span", { class: "muted" }, alarm.resolved_by || alarm.acked_by || "")),
    h("td", { class: "wide" }, alarm.cause && known(`alarm.cause.${alarm.cause}`) ? t(`alarm.cause.${alarm.cause}`) : alarm.active ? t("alarm.lasting") : "", h("span", { class: "muted" }, alarm.note || "")),
  );
}

function fits(alarm) {
  const level = form.level.value;
  return !level || (level === "fault" ? alarm.fault : !alarm.fault && String(alarm.level) === level);
}

async function load(fresh) {
  const mine = ++turn;
  if (fresh) cursor = null;
  show(refs.told, false);
  try {
    const page = await api(`/alarms?${new URLSearchParams({ state, limit: "100", ...(cursor ? { cursor } : {}) })}`);
    if (mine !== turn) return;
    const rows = page.items.filter(fits).map(row);
    if (fresh) refs.list.replaceChildren(...rows);
    else refs.list.append(...rows);
    cursor = page.next;
    put(refs.count, number(refs.list.children.length));
  } catch (error) {
    put(refs.told, error.text || String(error));
    show(refs.told, true);
  }
  show(refs.more, cursor !== null);
  show(refs.none, refs.list.children.length === 0);
}

function choose(wanted) {
  state = wanted;
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab.dataset.tab === state));
    tab.tabIndex = tab.dataset.tab === state ? 0 : -1;
  }
  const kept = new URLSearchParams({ state, ...(form.level.value ? { level: form.level.value } : {}) });
  history.replaceState(null, "", `?${kept}`);
  return load(true);
}

startShell();
form.level.value = new URLSearchParams(location.search).get("level") || "";
form.addEventListener("change", () => choose(state));
for (const tab of tabs) tab.addEventListener("click", () => choose(tab.dataset.tab));
refs.more.addEventListener("click", () => load(false));
let later = null;
// What the stream says of alarms changes this list, too; looked up anew, because it has filters.
onDraw((what) => {
  if (!what.has("alarms") || cursor) return;
  clearTimeout(later);
  later = setTimeout(() => load(true), 300);
});
choose(tabs.some((tab) => tab.dataset.tab === state) ? state : "open");
