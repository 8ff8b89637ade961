// What stands around every page: is it live, what time is it, sound, theme, language, the way out.

import {api} from "./api.js";
import {startAttention, unheard} from "./attention.js";
import {mark, put, setIcon, show} from "./dom.js";
import {onKey} from "./keys.js";
import {buildIsOld, live, onDraw, onStatus, start} from "./live.js";
import {mute, onSound, pressSound, soundState, soundText} from "./sound.js";
import {boot, dateOf, now, span, t, timeOf, weekdayOf} from "./texts.js";

const SOUND_ICONS = { on: "sound", off: "sound-off", blocked: "sound-off", quiet: "sound-off" };
const THEME_ICONS = { auto: "auto", light: "sun", dark: "moon" };
const THEMES = ["auto", "light", "dark"];
const YEAR_S = 31536000;

const find = (id) => document.getElementById(id);
const all = (name) => document.querySelectorAll(`[data-do="${name}"]`);

function keep(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR_S}; SameSite=Strict`;
}

function drawClock() {
  const at = now();
  put(find("clock"), timeOf(at));
  put(find("date"), `${dateOf(at).slice(5)} ${weekdayOf(at)}`);
}

function drawStatus() {
  mark(document.body, "status", live.status);
  put(find("live-word"), t(`status.${live.status}`));
  show(find("lost"), live.status === "lost");
  if (live.status === "lost" && live.at) put(find("lost-age"), t("lost.age", { span: span(now() - Date.parse(live.at)) }));
}

function drawSound() {
  const state = soundState();
  for (const button of all("sound")) {
    mark(button, "state", state);
    setIcon(button.querySelector("svg"), SOUND_ICONS[state]);
    put(button.querySelector("span"), soundText());
  }
}

function drawTheme() {
  const theme = document.documentElement.dataset.theme;
  for (const button of all("theme")) {
    setIcon(button.querySelector("svg"), THEME_ICONS[theme]);
    button.setAttribute("aria-label", t(`theme.${theme}`));
    button.title = t(`theme.${theme}`);
  }
}

function drawCount() {
  const count = unheard().filter((alarm) => !alarm.fault).length;
  for (const badge of document.querySelectorAll(".badge")) {
    put(badge, count > 99 ? "99+" : String(count));
    show(badge, count > 0);
  }
}

const DEEDS = {
  sound: pressSound,
  theme: () => {
    const root = document.documentElement;
    root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    keep("campus_theme", root.dataset.theme);
    drawTheme();
  },
  language: (button) => {
    keep("campus_lang", button.dataset.lang);
    location.reload();
  },
  "sign-out": async () => {
    await api("/session", { method: "DELETE" }).catch(() => undefined);
    location.assign("/sign-in");
  },
  reload: () => location.reload(),
  more: () => find("more").showModal(),
  help: () => find("help").showModal(),
  close: (button) => button.closest("dialog").close(),
};

export function startShell() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button && DEEDS[button.dataset.do]) DEEDS[button.dataset.do](button);
    // A click beside a dialog closes it, unless something in it waits for an answer.
    if (event.target.matches("dialog.light[open]")) event.target.close();
  });
  drawTheme();
  if (!boot.user) return;
  onKey("?", DEEDS.help);
  for (const link of document.querySelectorAll("nav a[data-key]")) {
    onKey(`g ${link.dataset.key}`, () => location.assign(link.href));
  }
  drawClock();
  setInterval(drawClock, 1000);
  if (!find("live-word")) return;
  drawSound();
  onSound(drawSound);
  onKey("m", mute);
  setInterval(drawSound, 5000);
  onStatus(drawStatus);
  setInterval(() => live.status === "lost" && drawStatus(), 1000);
  onDraw((what) => {
    if (what.has("alarms")) drawCount();
    if (what.has("build")) show(find("stale"), buildIsOld());
  });
  startAttention();
  start();
}

