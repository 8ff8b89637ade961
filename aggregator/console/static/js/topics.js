// What a record says, in a few words: by its topic, the longest beginning that we have words for.

import {t} from "./texts.js";

const TOPICS = {
  "AccessControl/AccessGranted": "granted",
  "AccessControl/AccessTaken": "granted",
  "AccessControl/AccessNotTaken": "not_taken",
  "AccessControl/Denied": "denied",
  "AccessControl/Request": "request",
  "AccessControl/Duress": "duress",
  "AccessControl/WrongTries": "wrong_tries",
  "Door/State/DoorAlarm": "door_alarm",
  "Door/State/DoorTamper": "door_tamper",
  "Door/State/DoorFault": "door_fault",
  "Door/State/DoorPhysicalState": "door_contact",
  "Door/State/DoorMode": "door_mode",
  "Door/State/LockPhysicalState": "lock",
  "Door/State/DoubleLockPhysicalState": "lock",
  "Door/RequestToExit": "exit",
  "Attendance/Punch": "punch",
  "Badge/Presence": "badge",
  "Payment/Sale": "sale",
  "Payment/Refund": "refund",
  "Payment/Reversal": "refund",
  "Payment/Declined": "declined",
  "Fire": "fire",
  "Camera/Tamper": "camera_tamper",
  "Camera/SignalLoss": "camera_loss",
  "Camera/StorageFailure": "camera_storage",
  "Camera/NetworkFailure": "camera_network",
  "Camera/Motion": "motion",
  "Broadcast": "broadcast",
  "Biometric": "biometric",
  "Command/Requested": "command_requested",
  "Command/Taken": "command_taken",
  "Command/Settled": "command_settled",
  "Device/Alarm": "device_alarm",
  "Device/State/Operating": "device_state",
  "Device/State/Clock": "clock",
  "Device/State": "device_info",
  "Document": "document",
  "EdgeNode": "edge",
  "Delivery": "delivery",
  "Alarm/Transition": "alarm",
  "Audit": "audit",
  "Credential": "credential",
};

export function topicText(topic) {
  for (let begin = topic; begin; begin = begin.slice(0, Math.max(0, begin.lastIndexOf("/")))) {
    if (TOPICS[begin]) return t(`topic.${TOPICS[begin]}`);
  }
  return topic;
}
