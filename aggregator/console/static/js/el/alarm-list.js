import {alarmIcon, alarmPlace, alarmTitle} from "../alarm-words.js";
import {acknowledge} from "../actions.js";
import {clone, keyed, mark, parts, put, putName, setIcon, show} from "../dom.js";
import {live, onDraw} from "../live.js";
import {may, since, t, when} from "../texts.js";
import {openResolve} from "./resolve-dialog.js";

function byUrgency(a, b) {
  return Number(a.fault) - Number(b.fault) || a.level - b.level || (a.first_at < b.first_at ? 1 : -1);
}

class AlarmList extends HTMLElement {
  connectedCallback() {
    this.groups = [...this.children].map((node) => ({ state: node.dataset.state, ...parts(node) }));
    this.mayAct = may("guard", "lead", "admin");
    this.mayFaults = may("ops");
    onDraw((what) => what.has("alarms") && this.draw());
    setInterval(() => this.drawAges(), 1000);
  }

  draw() {
    for (const { state, count, list, none } of this.groups) {
      const alarms = [...live.alarms.values()].filter((alarm) => alarm.state === state).sort(byUrgency);
      keyed(list, alarms, (alarm) => alarm.id, (alarm) => this.make(alarm), (node, alarm) => this.update(node, alarm));
      put(count, alarms.length ? String(alarms.length) : "");
      show(none, alarms.length === 0 && live.position !== null);
    }
  }

  make(alarm) {
    const node = clone("alarm");
    node.dataset.id = alarm.id;
    node.refs.kind.href = `/alarms/${alarm.id}`;
    node.refs.step.addEventListener("click", () => this.step(live.alarms.get(alarm.id)));
    return node;
  }

  update(node, alarm) {
    const { refs } = node;
    node.alarm = alarm;
    mark(node, "level", alarm.fault ? "fault" : String(alarm.level));
    mark(node, "state", alarm.state);
    node.classList.toggle("fresh", alarm.state === "new" && alarm.level === 1 && !alarm.fault && !alarm.historical);
    setIcon(refs.icon, alarmIcon(alarm));
    put(refs.level, alarm.fault ? t("alarm.fault") : t(`alarm.level.${alarm.level}`));
    putName(refs.kind, alarmTitle(alarm));
    put(refs.times, alarm.count > 1 ? `×${alarm.count}` : "");
    putName(refs.place, alarmPlace(alarm));
    put(refs.who, this.who(alarm));
    const can = this.mayAct || (alarm.fault && this.mayFaults);
    show(refs.step, can);
    put(refs.step, t(alarm.state === "new" ? "alarm.ack" : "alarm.resolve"));
    this.drawAge(node);
  }

  who(alarm) {
    if (alarm.state === "acked") return alarm.acked_by ? t("alarm.has", { name: alarm.acked_by }) : t("alarm.taken");
    if (alarm.historical) return t("alarm.historical", { at: when(alarm.first_at) });
    return alarm.cleared_at ? t("alarm.cleared") : "";
  }

  step(alarm) {
    if (!alarm) return;
    if (alarm.state === "new") acknowledge(alarm);
    else openResolve(alarm);
  }

  drawAges() {
    for (const { list } of this.groups) for (const node of list.children) this.drawAge(node);
  }

  drawAge({ alarm, refs }) {
    put(refs.age, since(alarm.state === "acked" && alarm.acked_at ? alarm.acked_at : alarm.first_at));
  }
}

customElements.define("alarm-list", AlarmList);
