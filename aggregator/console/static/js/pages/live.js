import "../el/alarm-list.js";
import "../el/door-grid.js";
import "../el/exception-feed.js";
import "../el/kpi-strip.js";
import {acknowledge} from "../actions.js";
import {openResolve} from "../el/resolve-dialog.js";
import {openUnlock} from "../el/unlock-dialog.js";
import {onKey} from "../keys.js";
import {live} from "../live.js";
import {startShell} from "../shell.js";
import {may} from "../texts.js";

const here = () => document.activeElement?.closest(".alarm, .door, exception-feed li");
const chosenAlarm = () => live.alarms.get(here()?.dataset.id) || live.alarms.get(document.querySelector(".alarm")?.dataset.id);

function move(step) {
  const nodes = [...document.querySelectorAll(".alarm, exception-feed li")];
  const at = nodes.indexOf(here());
  const next = nodes[at < 0 ? 0 : Math.min(Math.max(at + step, 0), nodes.length - 1)];
  if (next) next.focus();
}

function unlockHere() {
  const node = here();
  const door = live.doors.get(node?.dataset.device || node?.row?.device || node?.alarm?.source);
  if (!door || !door.can_open || !may("guard", "lead", "admin")) return false;
  return openUnlock(door);
}

startShell();
onKey("j", () => move(1));
onKey("k", () => move(-1));
onKey("a", () => acknowledge(chosenAlarm()));
onKey("r", () => {
  const alarm = chosenAlarm();
  if (alarm && alarm.state === "acked") openResolve(alarm);
});
onKey("u", unlockHere);
onKey("Enter", () => {
  const link = document.activeElement === here() ? here()?.querySelector("h3 a, a") : null;
  if (!link) return false;
  location.assign(link.href);
  return true;
});
