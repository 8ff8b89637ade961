import {resultOf, methodIcon} from "../doors.js";
import {subscribe} from "../bus.js";
import {clone, keyed, mark, parts, put, putName, setIcon, show} from "../dom.js";
import {onKey} from "../keys.js";
import {live, onDraw} from "../live.js";
import {reasonText} from "../reasons.js";
import {may, named, t, timeOf} from "../texts.js";
import {openUnlock} from "./unlock-dialog.js";

const ROWS = 60;

// Exceptions in full; everything that passes only on request, because a list that scrolls cannot be read.
class ExceptionFeed extends HTMLElement {
  connectedCallback() {
    this.tab = "exceptions";
    this.paused = false;
    this.rows = [];
    this.waiting = [];
    this.hovered = false;
    this.refs = parts(this);
    this.tabs = [...this.querySelectorAll("[role=tab]")];
    for (const tab of this.tabs) tab.addEventListener("click", () => this.choose(tab.dataset.tab));
    this.refs.pause.addEventListener("click", () => this.pause());
    this.refs.chip.addEventListener("click", () => this.flush());
    this.mayOpen = may("guard", "lead", "admin");
    this.refs.panel.addEventListener("pointerenter", () => (this.hovered = true));
    this.refs.panel.addEventListener("pointerleave", () => {
      this.hovered = false;
      if (!this.paused) this.flush();
    });
    onKey("p", () => this.pause());
    onDraw((what) => what.has("exceptions") && this.tab === "exceptions" && this.draw());
    this.choose("exceptions");
  }

  choose(name) {
    this.tab = name;
    for (const tab of this.tabs) {
      tab.setAttribute("aria-selected", String(tab.dataset.tab === name));
      tab.tabIndex = tab.dataset.tab === name ? 0 : -1;
    }
    this.refs.panel.setAttribute("aria-labelledby", `tab-${name}`);
    this.refs.log.setAttribute("aria-label", t(`feed.tab.${name}`));
    show(this.refs.pause, name === "all");
    show(this.refs.chip, false);
    if (name === "all") this.listen();
    else if (this.bus) this.bus.leave();
    this.draw();
  }

  // The stream of everything is opened with the tab and closed with it.
  listen() {
    this.rows = [];
    this.waiting = [];
    this.bus ??= subscribe("feed", { frame: (frame) => this.take(frame.items) });
    this.bus.join();
  }

  take(items) {
    const rows = items
      .filter((item) => item.kind === "event")
      .map((item) => ({
        position: item.position,
        at: item.occurred,
        device: item.device,
        topic: item.topic,
        reason: item.reason,
        tail: item.credential?.tail || null,
        method: item.credential?.kind,
        historical: item.historical,
      }));
    this.waiting.push(...rows);
    this.missed = (this.missed || 0) + Math.max(0, this.waiting.length - 500);
    this.waiting = this.waiting.slice(-500);
    if (this.paused || this.hovered) this.drawChip();
    else this.flush();
  }

  drawChip() {
    const count = this.waiting.length + (this.missed || 0);
    put(this.refs.chip, t("feed.new", { count }));
    show(this.refs.chip, this.tab === "all" && count > 0);
  }

  flush() {
    this.rows = [...this.waiting.reverse(), ...this.rows].slice(0, ROWS);
    this.waiting = [];
    this.missed = 0;
    this.drawChip();
    this.draw();
  }

  pause() {
    if (this.tab !== "all") return;
    this.paused = !this.paused;
    this.refs.pause.setAttribute("aria-pressed", String(this.paused));
    setIcon(this.refs.pause.querySelector("svg"), this.paused ? "play" : "pause");
    put(this.refs.pause.querySelector("span"), t(this.paused ? "feed.resume" : "feed.pause"));
    if (!this.paused) this.flush();
  }

  draw() {
    const rows = this.tab === "all" ? this.rows : live.exceptions;
    keyed(this.refs.list, rows, (one) => one.position, () => clone("row"), (node, one) => this.update(node, one));
    put(this.refs.empty.querySelector("span"), t(this.tab === "all" ? "feed.quiet" : "feed.none"));
    show(this.refs.empty, rows.length === 0 && live.position !== null);
  }

  update(node, one) {
    const { refs } = node;
    const result = resultOf(one.topic);
    const door = live.doors.get(one.device);
    node.row = one;
    mark(node, "result", result);
    put(refs.time, timeOf(one.at));
    setIcon(refs.icon, result === "denied" ? "ban" : result === "duress" ? "hand" : methodIcon(one));
    put(refs.result, t(`result.${result}`));
    putName(refs.name, named(one.name ? one : door || one));
    refs.name.href = `/devices/${one.device}`;
    putName(refs.reason, one.historical ? [reasonText(one.reason, one.topic), t("feed.historical")].filter(Boolean).join(" · ") : reasonText(one.reason, one.topic));
    put(refs.tail, one.tail ? t("door.tail", { tail: one.tail }) : "");
    const can = this.mayOpen && result === "denied" && !one.historical && door && door.can_open;
    show(refs.open, Boolean(can));
    refs.open.onclick = () => openUnlock(live.doors.get(one.device));
  }
}

customElements.define("exception-feed", ExceptionFeed);
