// Why somebody was not let in.

import {known, t} from "./texts.js";

export function reasonText(reason, topic = "") {
  if (!reason && topic.endsWith("/CredentialNotFound")) return t("reason.CredentialNotFound");
  if (!reason) return "";
  return known(`reason.${reason}`) ? t(`reason.${reason}`) : reason;
}
