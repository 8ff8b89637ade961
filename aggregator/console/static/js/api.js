// The campus' interface. Errors are codes; the words for them are ours.

import {known, t} from "./texts.js";

export class ApiError extends Error {
  constructor(status, code, params) {
    super(code);
    this.status = status;
    this.code = code;
    this.params = params || {};
  }
  get text() {
    const key = `problem.${this.code}`;
    return known(key) ? t(`problem.${this.code}`, this.params) : t("problem.other", { code: this.code });
  }
}

export function toSignIn() {
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

export async function api(path, { method = "GET", body, headers = {}, stay = false } = {}) {
  const given = body === undefined ? {} : { "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(`/api/v1${path}`, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { ...given, ...headers },
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError(0, "no_answer");
  }
  if (answer.status === 401 && !stay) toSignIn();
  const found = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(answer.status, (found && found.code) || `http_${answer.status}`, found && found.params);
  return found;
}

// crypto.randomUUID needs a secure context; a campus on plain HTTP is none.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
