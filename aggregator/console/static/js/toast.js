// Short words at the edge of the screen; one place that reads alarms out.

import {h, icon, put} from "./dom.js";

const TOAST_ICONS = { done: "check", failed: "warning", said: "info" };

export function toast(kind, text) {
  const node = h("p", { class: `toast ${kind}` }, icon(TOAST_ICONS[kind]), h("span", null, text));
  const box = document.getElementById("toasts");
  box.append(node);
  while (box.children.length > 4) box.firstElementChild.remove();
  setTimeout(() => node.remove(), kind === "failed" ? 9000 : 5000);
}

const EVERY_MS = 5000;
let spokenAt = -EVERY_MS;
let unspoken = "";
let timer = null;

// Only new alarms of the first two levels, and never faster than they can be heard.
export function speak(text) {
  unspoken = text;
  if (timer) return;
  timer = setTimeout(() => {
    timer = null;
    spokenAt = performance.now();
    put(document.getElementById("spoken"), unspoken);
  }, Math.max(0, spokenAt + EVERY_MS - performance.now()));
}
