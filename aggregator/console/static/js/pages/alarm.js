import {alarmIcon, alarmPlace, alarmTitle} from "../alarm-words.js";
import {acknowledge} from "../actions.js";
import {api} from "../api.js";
import {h, icon, parts, put, setIcon, show} from "../dom.js";
import {openResolve} from "../el/resolve-dialog.js";
import {facts} from "../health.js";
import {onKey} from "../keys.js";
import {live, onDraw} from "../live.js";
import {row} from "../rows.js";
import {startShell} from "../shell.js";
import {boot, known, may, since, span, t, when} from "../texts.js";

const AROUND_MS = 5 * 60000;
const STEP_ICONS = { opened: "alarm", acked: "hand", cleared: "check", resolved: "shield", reopened: "alarm" };
const id = boot.data.alarm_id;
const refs = parts(document.getElementById("main"));
let alarm = null;
let turn = 0;

// The server's own list of steps, or what the alarm itself says of them.
function steps() {
  const said = (alarm.history || []).map((one) => ({ ...one, name: one.step }));
  const cleared = alarm.cleared_at ? [{ name: "cleared", at: alarm.cleared_at }] : [];
  return [...said, ...cleared].sort((a, b) => (a.at < b.at ? -1 : 1));
}

function step(one) {
  const about = [one.by, one.cause && known(`alarm.cause.${one.cause}`) && t(`alarm.cause.${one.cause}`), one.note].filter(Boolean).join(" · ");
  const name = one.name in STEP_ICONS ? one.name : "opened";
  return h("li", { "data-step": name }, icon(STEP_ICONS[name]), h("div", null, h("b", null, t(`alarm.step.${name}`)), h("time", null, when(one.at)), about && h("p", null, about)));
}

function draw() {
  const level = alarm.fault ? "fault" : String(alarm.level);
  refs.head.dataset.level = level;
  refs.head.dataset.state = alarm.state;
  setIcon(refs.icon, alarmIcon(alarm));
  put(refs.level, alarm.fault ? t("alarm.fault") : t(`alarm.level.${level}`));
  put(refs.kind, alarmTitle(alarm) + (alarm.count > 1 ? ` ×${alarm.count}` : ""));
  put(refs.place, alarmPlace(alarm));
  put(refs.state, t(`alarm.state.${alarm.state}`));
  const end = alarm.resolved_at;
  facts(refs.facts, [
    [t("alarm.first"), when(alarm.first_at)],
    [t("alarm.last"), alarm.count > 1 ? when(alarm.last_at) : null],
    [t("alarm.lasted"), end ? span(Date.parse(end) - Date.parse(alarm.first_at)) : since(alarm.first_at)],
    [t("alarm.condition"), alarm.active ? t("alarm.lasting") : alarm.cleared_at ? t("alarm.cleared") : null],
    [t("alarm.source"), alarm.source.includes("/") ? h("a", { href: `/devices/${alarm.source}` }, alarm.source) : h("a", { href: `/edges/${alarm.source}` }, alarm.source)],
  ]);
  refs.steps.replaceChildren(...steps().map(step));
  const can = may("guard", "lead", "admin") || (alarm.fault && may("ops"));
  show(refs.ack, can && alarm.state === "new");
  show(refs.resolve, can && alarm.state === "acked");
}

async function drawAround(mine) {
  const query = new URLSearchParams({
    since: new Date(Date.parse(alarm.first_at) - AROUND_MS).toISOString(),
    until: new Date(Date.parse(alarm.last_at) + AROUND_MS).toISOString(),
    limit: "100",
    [alarm.source.includes("/") ? "device" : "edge"]: alarm.source,
  });
  const page = await api(`/events?${query}`).catch(() => ({ items: [] }));
  if (mine !== turn) return;
  page.items.sort((a, b) => (a.occurred < b.occurred ? 1 : -1));
  refs.around.replaceChildren(...page.items.map((one) => row(one, { where: false })));
  show(refs.none, page.items.length === 0);
}

// An answer that was overtaken by that of a later question is older than what is shown.
async function look() {
  const mine = ++turn;
  try {
    const found = await api(`/alarms/${id}`);
    if (mine !== turn) return;
    alarm = found;
  } catch (error) {
    put(refs.told, error.text);
    return show(refs.told, true);
  }
  draw();
  return drawAround(mine);
}

startShell();
refs.ack.addEventListener("click", () => acknowledge(live.alarms.get(id) || alarm).then(look));
refs.resolve.addEventListener("click", () => openResolve(live.alarms.get(id) || alarm));
onKey("a", () => refs.ack.click());
onKey("r", () => !refs.resolve.hidden && refs.resolve.click());
look();
// The stream says that something changed; the page that has all of it is looked up anew.
let position = null;
onDraw((what) => {
  if (!alarm || !what.has("alarms")) return;
  const seen = live.alarms.get(id);
  const now = seen ? `${seen.state} ${seen.count} ${seen.active}` : "resolved";
  if (position !== null && position !== now) look();
  position = now;
});
