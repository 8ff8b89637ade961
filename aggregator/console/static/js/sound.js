// Tones made by the browser, so that there is no file to lose. Level 1: three every six seconds until somebody has it;
// 2: two once a minute; 3: one, once; 4: none. Of many tabs one rings.

import {t} from "./texts.js";

const PAUSE_MS = { 1: 6000, 2: 60000 };
const TONES = { 1: 3, 2: 2, 3: 1 };
const PITCH = { 1: 880, 2: 660, 3: 520 };
const QUIET_MS = 5 * 60000;
const LEASE = "console.ringer";
const me = String(Math.random());

export const sound = { wanted: sessionStorage.getItem("console.duty") === "on", quietUntil: 0 };

let context = null;
let last = { 1: -Infinity, 2: -Infinity };
let listeners = new Set();

export function onSound(told) {
  listeners.add(told);
}

function tellSound() {
  listeners.forEach((told) => told());
}

export function soundState() {
  if (!sound.wanted) return "off";
  if (!context || context.state !== "running") return "blocked";
  return Date.now() < sound.quietUntil ? "quiet" : "on";
}

export function soundText() {
  return t(`sound.${soundState()}`);
}

function wake() {
  if (!context) {
    context = new AudioContext();
    context.addEventListener("statechange", tellSound);
  }
  // Without a click the browser may refuse; then the button says so.
  return context.resume().catch(() => undefined);
}

// From a click: begins the shift, wakes what was blocked, or is quiet for five minutes.
export async function pressSound() {
  const state = soundState();
  if (state === "on") sound.quietUntil = Date.now() + QUIET_MS;
  else if (state === "quiet") sound.quietUntil = 0;
  else {
    sound.wanted = true;
    sessionStorage.setItem("console.duty", "on");
    await wake();
    if (soundState() === "on") tones(3);
  }
  tellSound();
}

export function mute() {
  if (soundState() === "on") pressSound();
}

function tones(level) {
  for (let index = 0; index < TONES[level]; index++) {
    const from = context.currentTime + index * 0.28;
    const oscillator = context.createOscillator();
    const gain = context.createGain();
    oscillator.frequency.value = PITCH[level];
    gain.gain.setValueAtTime(0, from);
    gain.gain.linearRampToValueAtTime(0.5, from + 0.02);
    gain.gain.setTargetAtTime(0, from + 0.16, 0.03);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(from);
    oscillator.stop(from + 0.27);
  }
}

function myTurn() {
  const [owner, at] = (localStorage.getItem(LEASE) || " 0").split(" ");
  if (owner !== me && Date.now() - Number(at) < 2500) return false;
  localStorage.setItem(LEASE, `${me} ${Date.now()}`);
  return true;
}

// Called about every second with the levels that nobody has yet, and those that have just come.
export function ring(open, fresh) {
  const state = soundState();
  if (state !== "on" && !(state === "quiet" && open.has(1))) return;
  if (!myTurn()) return;
  const at = Date.now();
  for (const level of [1, 2]) {
    if (open.has(level) && (fresh.has(level) || at - last[level] >= PAUSE_MS[level])) {
      last[level] = at;
      tones(level);
      return;
    }
  }
  if (fresh.has(3)) tones(3);
}

if (sound.wanted) wake();
