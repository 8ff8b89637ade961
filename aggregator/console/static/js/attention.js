// New alarms reach whoever sits there: sound, the number in the title, a dot on the tab's icon, a spoken line.

import {alarmPlace, alarmTitle} from "./alarm-words.js";
import {live, onAlarms} from "./live.js";
import {ring} from "./sound.js";
import {t} from "./texts.js";
import {speak} from "./toast.js";

const title = document.title;
const heard = new Map();
let fresh = new Set();

export function unheard() {
  return [...live.alarms.values()].filter((alarm) => alarm.state === "new");
}

function drawTab(open) {
  const worst = open.filter((alarm) => !alarm.fault);
  document.title = worst.length ? `(${worst.length}) ${title}` : title;
  const link = document.querySelector("link[rel=icon]");
  const wanted = worst.length ? link.dataset.alarm : link.dataset.plain;
  if (link.getAttribute("href") !== wanted) link.setAttribute("href", wanted);
}

export function startAttention() {
  onAlarms((alarms, isNews) => {
    for (const alarm of alarms) {
      const before = heard.get(alarm.id);
      heard.set(alarm.id, alarm.state);
      // Raised again after it was settled, it is news again.
      if (!isNews || alarm.state !== "new" || alarm.historical || before === "new") continue;
      fresh.add(alarm.level);
      if (alarm.level <= 2) speak(t("alarm.spoken", { level: t(`alarm.level.${alarm.level}`), kind: alarmTitle(alarm), place: alarmPlace(alarm) }));
    }
    drawTab(unheard());
    beat();
  });
  setInterval(beat, 1000);
}

function beat() {
  const ringing = unheard().filter((alarm) => !alarm.historical);
  ring(new Set(ringing.map((alarm) => alarm.level)), fresh);
  fresh = new Set();
}
