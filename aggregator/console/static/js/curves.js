// The charts of one device: all that it measures, over one range, with one cursor.

import "./el/series-chart.js";
import {api} from "./api.js";
import {h} from "./dom.js";
import {curveName} from "./quantities.js";
import {now} from "./texts.js";

export const RANGES = { "1h": 3600000, "6h": 21600000, "24h": 86400000, "7d": 604800000, "30d": 2592000000 };
const BUCKETS = 400;
// What was asked last for a box of charts; an answer to something before that is not drawn.
const asked = new WeakMap();

export async function drawCurves(box, device, curves, range) {
  const charts = new Map([...box.children].map((node) => [node.dataset.resource, node]));
  for (const { resource } of curves) {
    if (charts.has(resource)) continue;
    const chart = h("series-chart", { class: "card", "data-resource": resource });
    chart.addEventListener("cursor", ({ detail }) => {
      for (const other of box.children) if (other !== chart) other.follow(detail);
    });
    box.append(chart);
    charts.set(resource, chart);
  }
  const mine = {};
  asked.set(box, mine);
  const untilMs = now();
  const fromMs = untilMs - RANGES[range];
  const query = new URLSearchParams({ since: new Date(fromMs).toISOString(), until: new Date(untilMs).toISOString(), buckets: String(BUCKETS) });
  await Promise.all(
    curves.map(async ({ resource, unit }) => {
      const found = await api(`/series/${device}/${resource}?${query}`);
      if (asked.get(box) === mine) charts.get(resource).set({ name: curveName(resource), unit, items: found.items, fromMs, untilMs, stepMs: RANGES[range] / BUCKETS });
    }),
  );
}
