// Texts in the page's language, and times as the campus' clocks show them.

export const boot = JSON.parse(document.getElementById("boot").textContent);

export function t(key, params = {}) {
  let text = boot.texts[key];
  if (text === undefined && "count" in params) {
    text = boot.texts[`${key}_one`];
    if (text === undefined || params.count !== 1) text = boot.texts[`${key}_other`];
  }
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (_, name) => params[name]);
}

// For codes that a newer server may say and this page does not know.
export function known(key) {
  return key in boot.texts;
}

export function named(thing) {
  return (boot.lang === "en" && thing.name_en) || thing.name || thing.device || thing.source || "";
}

export function may(...roles) {
  return boot.user !== null && boot.user.roles.some((role) => roles.includes(role));
}

// --- time: the server's, because a desk's own clock may be wrong

let skew = Date.parse(boot.now) - Date.now();

export function serverSaid(at) {
  const found = Date.parse(at) - Date.now();
  // Frames arrive late, never early: the largest is the truest. A step back of minutes is a clock that was set.
  if (found > skew || skew - found > 60000) skew = found;
}

export function now() {
  return Date.now() + skew;
}

const locale = boot.lang === "en" ? "en-GB" : "zh-CN";

function format(options) {
  return new Intl.DateTimeFormat(locale, { timeZone: boot.zone, hourCycle: "h23", ...options });
}

const TIME = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const MINUTE = format({ hour: "2-digit", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat("sv-SE", { timeZone: boot.zone });
const WEEKDAY = format({ weekday: "short" });

export function timeOf(at) {
  return TIME.format(new Date(at));
}

export function minuteOf(at) {
  return MINUTE.format(new Date(at));
}

export function dateOf(at) {
  return DATE.format(new Date(at));
}

export function weekdayOf(at) {
  return WEEKDAY.format(new Date(at));
}

// A time of today without its date, another with it.
export function when(at) {
  const date = dateOf(at);
  return date === dateOf(now()) ? timeOf(at) : `${date.slice(date.slice(0, 4) === dateOf(now()).slice(0, 4) ? 5 : 0)} ${timeOf(at)}`;
}

export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return t("span.s", { s });
  const m = Math.floor(s / 60);
  if (m < 60) return s % 60 && m < 10 ? t("span.ms", { m, s: s % 60 }) : t("span.m", { m });
  const hours = Math.floor(m / 60);
  if (hours < 48) return m % 60 ? t("span.hm", { h: hours, m: m % 60 }) : t("span.h", { h: hours });
  return t("span.d", { d: Math.floor(hours / 24), h: hours % 24 });
}

export function since(at) {
  return span(now() - Date.parse(at));
}

export function ago(at) {
  return t("span.ago", { span: since(at) });
}

const NUMBER = new Intl.NumberFormat(locale);

export function number(value) {
  return NUMBER.format(value);
}
