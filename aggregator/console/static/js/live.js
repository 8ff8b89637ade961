// What the campus looks like now: a snapshot, and what changed since. Elements listen and draw.

import {api, toSignIn} from "./api.js";
import {subscribe} from "./bus.js";
import {boot, serverSaid} from "./texts.js";

const LOST_MS = 3000;
const EXCEPTIONS = 60;

export const live = {
  status: "connecting", // connecting, live, lost
  at: null,
  position: null,
  doors: new Map(),
  alarms: new Map(),
  exceptions: [],
  kpi: null,
};

// Alarms that are being taken here: shown as taken until the server has answered.
export const taking = new Map();
const drawers = new Set();
const watchers = new Set();
let changed = new Set();
let drawing = false;
let beatAt = performance.now();
let build = null;
let bus = null;

// draw(changed): called before the next paint with what changed: doors, alarms, exceptions, kpi, status.
export function onDraw(draw) {
  drawers.add(draw);
}

// watch(alarms, fresh): called at once, also while the page is hidden. fresh: not part of a snapshot.
export function onAlarms(watch) {
  watchers.add(watch);
}

export function onStatus(told) {
  drawers.add((what) => what.has("status") && told());
}

function touch(...what) {
  what.forEach((one) => changed.add(one));
  if (drawing) return;
  drawing = true;
  const draw = () => {
    drawing = false;
    const now = changed;
    changed = new Set();
    drawers.forEach((one) => one(now));
  };
  // A hidden page paints nothing, and asks for no frame.
  if (document.hidden) setTimeout(draw, 250);
  else requestAnimationFrame(draw);
}

function setStatus(status) {
  if (live.status === status) return;
  live.status = status;
  touch("status");
}

function seen(data) {
  live.position = data.position;
  live.at = data.at;
  serverSaid(data.at);
}

function newest(exceptions) {
  return [...exceptions].sort((a, b) => b.position - a.position).slice(0, EXCEPTIONS);
}

export function takeSnapshot(data) {
  seen(data);
  live.doors = new Map(data.doors.map((door) => [door.device, door]));
  live.alarms = new Map(data.alarms.map((alarm) => [alarm.id, alarm]));
  live.exceptions = newest(data.exceptions);
  live.kpi = data.kpi;
  watchers.forEach((watch) => watch([...live.alarms.values()], false));
  touch("doors", "alarms", "exceptions", "kpi");
}

function takeFrame(frame) {
  seen(frame);
  for (const door of frame.doors || []) live.doors.set(door.device, door);
  if (frame.doors && frame.doors.length) touch("doors");
  if (frame.alarms && frame.alarms.length) takeAlarms(frame.alarms);
  if (frame.exceptions && frame.exceptions.length) {
    const known = new Set(live.exceptions.map((one) => one.position));
    const fresh = frame.exceptions.filter((one) => !known.has(one.position));
    live.exceptions = newest([...fresh, ...live.exceptions]);
    touch("exceptions");
  }
  if (frame.kpi) {
    live.kpi = frame.kpi;
    touch("kpi");
  }
}

// Also what the answer to an action said, before the stream says it; what is older than what is known is no news.
export function takeAlarms(alarms, isNews = true) {
  const news = alarms.filter((alarm) => !(live.alarms.get(alarm.id)?.position > alarm.position));
  for (const alarm of news) {
    if (alarm.state === "resolved") live.alarms.delete(alarm.id);
    else live.alarms.set(alarm.id, alarm.state === "new" ? { ...alarm, ...taking.get(alarm.id) } : alarm);
  }
  watchers.forEach((watch) => watch(news, isNews));
  touch("alarms");
}

async function reload() {
  try {
    takeSnapshot(await api("/live"));
    bus.join(live.position, live.at);
  } catch (error) {
    if (error.status === 401) return;
    if (error.status === 403) setStatus("lost");
    else setTimeout(reload, 2000);
  }
}

export function buildIsOld() {
  return build !== null && build !== boot.build;
}

export function start() {
  if (bus) return;
  bus = subscribe("live", {
    frame: takeFrame,
    gap: reload,
    hello: (hello) => {
      build = hello.build ?? null;
      touch("build");
    },
    beat: () => {
      beatAt = performance.now();
      setStatus("live");
    },
    refused: (status) => (status === 401 ? toSignIn() : location.reload()),
  });
  // Frames say whether we are live; an open socket says nothing.
  setInterval(() => {
    if (performance.now() - beatAt > LOST_MS) setStatus("lost");
  }, 500);
  if (boot.data.live) {
    takeSnapshot(boot.data.live);
    bus.join(live.position, live.at);
  } else reload();
}
