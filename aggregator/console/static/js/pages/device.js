import {alarmPlace, alarmTitle} from "../alarm-words.js";
import {api} from "../api.js";
import {drawCurves} from "../curves.js";
import {doorState} from "../doors.js";
import {h, keyed, parts, put, show} from "../dom.js";
import {openUnlock} from "../el/unlock-dialog.js";
import {deviceName, deviceState, facts, stateAge} from "../health.js";
import {live, onDraw} from "../live.js";
import {row} from "../rows.js";
import {startShell} from "../shell.js";
import {every} from "../ticker.js";
import {ago, boot, known, may, number, t, when} from "../texts.js";

const id = `${boot.data.edge}/${boot.data.name}`;
const refs = parts(document.getElementById("main"));
const form = document.getElementById("filters");
let device = null;

async function drawRecords() {
  if (!may("guard", "lead", "teacher", "attendance", "ops", "district", "admin")) return;
  const page = await api(`/events?${new URLSearchParams({ device: id, limit: "50" })}`);
  keyed(refs.records, page.items, (one) => one.position, (one) => row(one, { where: false }), () => undefined);
  show(refs.none, page.items.length === 0);
}

function drawFacts(door) {
  put(refs.name, deviceName(device));
  refs.state.replaceChildren(deviceState(device));
  put(refs.age, stateAge(device));
  facts(refs.facts, [
    [t("device.id"), device.device],
    [t("device.place"), device.place],
    [t("device.edge"), h("a", { href: `/edges/${device.edge}` }, device.edge)],
    [t("device.class"), known(`health.class.${device.device_class}`) ? t(`health.class.${device.device_class}`) : device.device_class],
    [t("device.profile"), device.profile],
    [t("device.protocol"), device.protocol],
    [t("device.contract"), known(`device.contract.${device.contract}`) ? t(`device.contract.${device.contract}`) : device.contract],
    [t("device.last"), `${when(device.last_occurred)} (${ago(device.last_received)})`],
    [t("device.records"), number(device.records)],
    door && [t("device.door"), t(`door.state.${doorState(door)}`)],
    door && [t("kpi.granted_today"), number(door.granted_today)],
    door && [t("kpi.denied_today"), number(door.denied_today)],
  ].filter(Boolean));
}

async function look() {
  try {
    device = await api(`/devices/${id}`);
  } catch (error) {
    if (error.status !== 404) throw error;
    put(refs.told, error.text);
    show(refs.told, true);
    return;
  }
  drawFacts(live.doors.get(id));
  show(refs.curves, device.curves.length > 0);
  if (device.curves.length) await drawCurves(refs.charts, id, device.curves, form.range.value).catch(() => undefined);
  await drawRecords();
}

startShell();
form.addEventListener("change", () => device && drawCurves(refs.charts, id, device.curves, form.range.value));
refs.unlock.addEventListener("click", () => openUnlock(live.doors.get(id)));
onDraw((what) => {
  const door = live.doors.get(id);
  if (what.has("doors")) show(refs.unlock, Boolean(door && door.can_open && may("guard", "lead", "admin")));
  if (what.has("doors") && device) drawFacts(door);
  if (what.has("alarms")) {
    const alarms = [...live.alarms.values()].filter((alarm) => alarm.source === id);
    keyed(refs.alarms, alarms, (one) => one.id, (one) => h("a", { href: `/alarms/${one.id}`, class: "alarm-line" }), (node, one) => {
      node.dataset.level = one.fault ? "fault" : String(one.level);
      put(node, `${alarmTitle(one)} · ${alarmPlace(one)} · ${when(one.first_at)}`);
    });
  }
});
every(10000, look);
