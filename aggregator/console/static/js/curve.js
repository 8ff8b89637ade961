// Curves without a screen: where they are broken, what stands at their edges, what goes into a file. Pure.

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// How far apart neighbours usually are; what is three times as far apart is a gap.
function usual(points, stepMs) {
  const apart = points.slice(1).map((one, at) => one.at - points[at].at);
  apart.sort((a, b) => a - b);
  return Math.max(stepMs, apart[Math.floor(apart.length / 2)] || 0);
}

export function segmentsOf(points, stepMs) {
  const limit = usual(points, stepMs) * 3;
  const segments = [];
  for (const one of points) {
    const held = segments[segments.length - 1];
    if (held && one.at - held[held.length - 1].at <= limit) held.push(one);
    else segments.push([one]);
  }
  return segments;
}

export function gapsOf(segments) {
  return segments.slice(1).map((segment, at) => ({ from: segments[at][segments[at].length - 1].at, until: segment[0].at }));
}

export function niceTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const first = Math.floor(low / step) * step;
  const ticks = [];
  for (let at = first; at < high + step; at += step) ticks.push(at);
  return ticks;
}

const STEPS_MIN = [5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 7200];

// On full minutes, hours and days of the campus' own zone.
export function timeTicks(fromMs, untilMs, count, zone) {
  const step = (STEPS_MIN.find((one) => (untilMs - fromMs) / (one * 60000) <= count) || 14400) * 60000;
  const offset = zoneOffset(fromMs, zone);
  const ticks = [];
  for (let at = Math.ceil((fromMs + offset) / step) * step - offset; at <= untilMs; at += step) {
    ticks.push({ at, day: (at + offset) % 86400000 === 0 });
  }
  return ticks;
}

function zoneOffset(ms, zone) {
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" }).formatToParts(ms);
  const of = (type) => Number(parts.find((part) => part.type === type).value);
  return Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute")) - Math.floor(ms / 60000) * 60000;
}

// With a mark of Unicode and the line ends that spreadsheets want.
export function csvOf(points) {
  const rows = points.map((one) => [one.start, one.count, one.minimum, one.maximum, one.mean, one.first, one.last].join(","));
  return `\ufeff${["time,count,minimum,maximum,mean,first,last", ...rows].join("\r\n")}\r\n`;
}
