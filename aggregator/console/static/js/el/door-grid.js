import {doorState, lastState, methodIcon, rank, resultOf, stateIcon} from "../doors.js";
import {clone, keyed, mark, parts, put, putName, setIcon, show} from "../dom.js";
import {live, onDraw} from "../live.js";
import {may, minuteOf, named, number, since, t} from "../texts.js";
import {openUnlock} from "./unlock-dialog.js";

// A name that changes faster than it can be read is no name.
const HOLD_MS = 1000;

function spark(counts) {
  const top = Math.max(4, ...counts);
  return counts.map((count, at) => (count ? `M${at * 3 + 1.5} 20v${-Math.max(2, (count / top) * 19).toFixed(1)}` : "")).join("");
}

function lastText(door) {
  const last = door.last;
  const result = resultOf(last.topic);
  // What is as it should be needs no word.
  return [minuteOf(last.at), result !== "granted" && t(`result.${result}`), last.tail && `…${last.tail}`].filter(Boolean).join(" ");
}

class DoorGrid extends HTMLElement {
  connectedCallback() {
    this.refs = parts(this);
    this.mayOpen = may("guard", "lead", "admin");
    onDraw((what) => what.has("doors") && this.draw());
    setInterval(() => this.drawAges(), 1000);
  }

  draw() {
    const doors = [...live.doors.values()].map((door) => ({ door, state: doorState(door) }));
    doors.sort((a, b) => rank(a.state) - rank(b.state) || order(a.door).localeCompare(order(b.door), undefined, { numeric: true }));
    keyed(this.refs.list, doors, ({ door }) => door.device, ({ door }) => this.make(door), (node, one) => this.update(node, one));
    show(this.refs.none, doors.length === 0 && live.position !== null);
  }

  make(door) {
    const node = clone("door");
    node.dataset.device = door.device;
    node.refs.name.href = `/devices/${door.device}`;
    node.refs.unlock.addEventListener("click", () => openUnlock(live.doors.get(door.device)));
    node.heldUntil = 0;
    return node;
  }

  update(node, { door, state }) {
    const { refs } = node;
    node.door = door;
    mark(node, "state", state);
    setIcon(refs.icon, stateIcon(state));
    put(refs.word, t(`door.state.${state}`));
    put(refs.name, named(door));
    refs.name.title = [named(door), door.place, door.device].filter(Boolean).join(" · ");
    refs.spark.setAttribute("d", spark(door.spark || []));
    put(refs.granted, number(door.granted_today));
    put(refs.denied, number(door.denied_today));
    show(refs.refusals, door.denied_today > 0);
    putName(refs.place, door.place);
    show(refs.unlock, this.mayOpen && door.can_open);
    this.drawLast(node);
    this.drawAge(node);
  }

  drawLast(node) {
    const wait = node.heldUntil - performance.now();
    if (wait > 0) {
      node.later ??= setTimeout(() => {
        node.later = undefined;
        this.drawLast(node);
      }, wait);
      return;
    }
    const { door, refs } = node;
    const text = door.last ? lastText(door) : t("door.never");
    if (refs.last.textContent === text) return;
    putName(refs.last, text);
    setIcon(refs.method, door.last && resultOf(door.last.topic) === "denied" ? "ban" : methodIcon(door.last));
    mark(node, "last", door.last ? resultOf(door.last.topic) : "none");
    node.heldUntil = performance.now() + HOLD_MS;
  }

  drawAges() {
    for (const node of this.refs.list.children) this.drawAge(node);
  }

  drawAge({ door, refs, dataset }) {
    const state = dataset.state;
    if (!["offline", "held", "forced", "alarm", "open"].includes(state)) return put(refs.age, "");
    const before = state === "offline" && lastState(door);
    const age = door.state_since ? since(door.state_since) : "";
    putName(refs.age, before ? t("door.before", { state: t(`door.state.${before}`), age }) : age);
  }
}

function order(door) {
  return `${door.edge} ${named(door)}`;
}

customElements.define("door-grid", DoorGrid);
