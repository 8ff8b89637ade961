// One record of the ledger as a person reads it.

import {valueText} from "./quantities.js";
import {reasonText} from "./reasons.js";
import {known, t} from "./texts.js";
import {topicText} from "./topics.js";

export function whatOf(record) {
  if (record.kind === "event") return topicText(record.topic);
  return t(`kind.${record.kind}`);
}

const STATES = ["state", "mode"];

export function detailOf(record) {
  const values = record.values || {};
  const state = STATES.map((name) => values[name]).find((value) => typeof value === "string");
  const parts = [reasonText(record.reason, record.topic || "")];
  if (state) parts.push(known(`value.${state}`) ? t(`value.${state}`) : state);
  if (typeof values.amount_fen === "number") parts.push(t("events.money", { amount: (values.amount_fen / 100).toFixed(2) }));
  if (record.kind === "outcome") parts.push(known(`outcome.${record.result}`) ? t(`outcome.${record.result}`) : record.result);
  if (record.kind === "reading") parts.push(record.readings.slice(0, 3).map(valueText).join(", "));
  return parts.filter(Boolean).join(" · ");
}

export function toneOf(record) {
  const topic = record.topic || "";
  if (topic.startsWith("AccessControl/Denied") || topic === "AccessControl/WrongTries" || topic === "Payment/Declined") return "denied";
  if (record.lane === "A" && record.kind === "event" && !topic.startsWith("Command/") && !topic.startsWith("Alarm/")) return "alarm";
  return "";
}
