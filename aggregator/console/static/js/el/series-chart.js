import {h, icon, parts} from "../dom.js";
import {clamp, csvOf, gapsOf, niceTicks, segmentsOf, timeTicks} from "../curve.js";
import {quantity} from "../quantities.js";
import {boot, dateOf, minuteOf, span, t, timeOf} from "../texts.js";

const SVG_NS = "http://www.w3.org/2000/svg";
const HEIGHT = 190;
const LEFT = 54;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;

function shape(tag, props, text) {
  const node = document.createElementNS(SVG_NS, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// A curve with a band from the least to the greatest value of each stretch, so that a spike stays, and with gaps left
// open. The arrow keys move a cursor; what it stands on is written below, and so is a summary of the whole.
class SeriesChart extends HTMLElement {
  connectedCallback() {
    if (this.refs) return;
    this.append(
      h("header", null, h("h3", { "data-part": "title" }), h("p", { class: "now", "data-part": "now" }), h("button", { type: "button", class: "small ghost", "data-part": "csv" }, icon("down"), h("span", null, t("chart.csv")))),
      h("div", { class: "plot", tabindex: "0", role: "group", "data-part": "plot" }),
      h("p", { class: "cursor", "aria-live": "polite", "data-part": "cursor" }),
      h("p", { class: "summary", "data-part": "summary" }),
    );
    this.refs = parts(this);
    this.at = null;
    this.refs.csv.addEventListener("click", () => this.save());
    this.refs.plot.addEventListener("keydown", (event) => this.key(event));
    this.refs.plot.addEventListener("pointermove", (event) => this.point(event));
    this.refs.plot.addEventListener("pointerleave", () => this.move(null));
    new ResizeObserver(() => this.data && this.paint()).observe(this);
  }

  // data: {name, unit, items, fromMs, untilMs, stepMs}
  set(data) {
    this.data = data;
    data.points = data.items.map((one) => ({ ...one, at: Date.parse(one.start) + data.stepMs / 2 }));
    data.segments = segmentsOf(data.points, data.stepMs);
    data.gaps = gapsOf(data.segments);
    this.refs.title.textContent = data.name;
    const last = data.points[data.points.length - 1];
    this.refs.now.textContent = last ? `${this.value(last.last)}` : "–";
    this.refs.now.title = last ? timeOf(last.start) : "";
    this.refs.csv.disabled = !last;
    this.refs.summary.textContent = this.summary();
    this.refs.plot.setAttribute("aria-label", `${data.name}. ${this.summary()} ${t("chart.keys")}`);
    this.paint();
    this.move(null);
  }

  value(number) {
    return quantity(number, this.data.unit);
  }

  moment(ms) {
    const { fromMs, untilMs, stepMs } = this.data;
    if (untilMs - fromMs > 86400000) return `${dateOf(ms).slice(5)} ${minuteOf(ms)}`;
    // No more exact than the stretch of which it is the middle.
    return stepMs < 60000 ? timeOf(ms) : minuteOf(ms);
  }

  summary() {
    const { points, gaps } = this.data;
    if (!points.length) return t("chart.nothing");
    const low = points.reduce((a, b) => (b.minimum < a.minimum ? b : a));
    const high = points.reduce((a, b) => (b.maximum > a.maximum ? b : a));
    const count = points.reduce((sum, one) => sum + one.count, 0);
    const mean = points.reduce((sum, one) => sum + one.mean * one.count, 0) / count;
    const said = t("chart.summary", { low: this.value(low.minimum), low_at: this.moment(low.at), high: this.value(high.maximum), high_at: this.moment(high.at), mean: this.value(mean) });
    const longest = Math.max(0, ...gaps.map((gap) => gap.until - gap.from));
    return gaps.length ? `${said} ${t("chart.gaps", { count: gaps.length, longest: span(longest) })}` : said;
  }

  paint() {
    const { data } = this;
    const width = Math.max(260, this.refs.plot.clientWidth);
    const { points, segments } = data;
    let low = Math.min(...points.map((one) => one.minimum));
    let high = Math.max(...points.map((one) => one.maximum));
    if (!points.length) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - 1, high + 1];
    const ticks = niceTicks(low, high, 4);
    [low, high] = [Math.min(low, ticks[0]), Math.max(high, ticks[ticks.length - 1])];
    const x = (ms) => LEFT + ((ms - data.fromMs) / (data.untilMs - data.fromMs)) * (width - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const svg = shape("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
    for (const gap of data.gaps) svg.append(shape("rect", { class: "gap", x: x(gap.from).toFixed(1), y: TOP, width: Math.max(1, x(gap.until) - x(gap.from)).toFixed(1), height: HEIGHT - TOP - BOTTOM }));
    for (const tick of ticks) {
      svg.append(shape("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }));
      svg.append(shape("text", { class: "tick", x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, String(Number(tick.toPrecision(8)))));
    }
    for (const tick of timeTicks(data.fromMs, data.untilMs, Math.floor(width / 90), boot.zone)) {
      svg.append(shape("line", { class: "grid", x1: x(tick.at), x2: x(tick.at), y1: TOP, y2: HEIGHT - BOTTOM }));
      svg.append(shape("text", { class: "tick", x: clamp(x(tick.at), LEFT, width - 22), y: HEIGHT - 6, "text-anchor": "middle" }, tick.day ? dateOf(tick.at).slice(5) : minuteOf(tick.at)));
    }
    for (const segment of segments) {
      const top = segment.map((one) => `${x(one.at).toFixed(1)},${y(one.maximum).toFixed(1)}`);
      const bottom = segment.map((one) => `${x(one.at).toFixed(1)},${y(one.minimum).toFixed(1)}`).reverse();
      svg.append(shape("polygon", { class: "band", points: [...top, ...bottom].join(" ") }));
      const line = segment.map((one) => `${x(one.at).toFixed(1)},${y(one.mean).toFixed(1)}`);
      if (segment.length === 1) svg.append(shape("circle", { class: "alone", cx: x(segment[0].at), cy: y(segment[0].mean), r: 2.5 }));
      else svg.append(shape("polyline", { class: "line", points: line.join(" ") }));
    }
    this.mark = shape("g", { class: "mark", visibility: "hidden" });
    this.mark.append(shape("line", { y1: TOP, y2: HEIGHT - BOTTOM }), shape("circle", { r: 4 }));
    svg.append(this.mark);
    this.refs.plot.replaceChildren(svg);
    this.scale = { x, y, width };
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    const { points } = this.data;
    if (!step || !points.length) return;
    event.preventDefault();
    const from = this.at === null ? (step > 0 ? -1 : points.length) : this.at;
    this.move(clamp(from + step, 0, points.length - 1));
  }

  point(event) {
    const { points, fromMs, untilMs } = this.data;
    if (!points.length) return;
    const box = this.refs.plot.getBoundingClientRect();
    const ms = fromMs + ((event.clientX - box.left - LEFT) / (this.scale.width - LEFT - RIGHT)) * (untilMs - fromMs);
    let best = 0;
    points.forEach((one, at) => {
      if (Math.abs(one.at - ms) < Math.abs(points[best].at - ms)) best = at;
    });
    this.move(best);
  }

  move(at, told = false) {
    this.at = at;
    const one = at === null ? null : this.data.points[at];
    this.mark.setAttribute("visibility", one ? "visible" : "hidden");
    if (one) {
      const [line, dot] = this.mark.children;
      line.setAttribute("x1", this.scale.x(one.at));
      line.setAttribute("x2", this.scale.x(one.at));
      dot.setAttribute("cx", this.scale.x(one.at));
      dot.setAttribute("cy", this.scale.y(one.mean));
    }
    this.refs.cursor.textContent = !one ? "" : one.count === 1 ? t("chart.one", { at: this.moment(one.at), value: this.value(one.mean) }) : t("chart.many", { at: this.moment(one.at), value: this.value(one.mean), low: this.value(one.minimum), high: this.value(one.maximum) });
    if (!told) this.dispatchEvent(new CustomEvent("cursor", { bubbles: true, detail: one ? one.at : null }));
  }

  // The cursor of a neighbour: the same moment here.
  follow(ms) {
    const { points } = this.data || { points: [] };
    if (ms === null || !points.length) return this.data && this.move(null, true);
    const at = points.findIndex((one) => one.at >= ms);
    return this.move(at < 0 ? points.length - 1 : at, true);
  }

  save() {
    const { name, points } = this.data;
    const link = h("a", { href: URL.createObjectURL(new Blob([csvOf(points)], { type: "text/csv" })), download: `${name.replace(/[^\p{L}\p{N}]+/gu, "_")}_${dateOf(this.data.untilMs)}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}

customElements.define("series-chart", SeriesChart);
