import {api} from "../api.js";
import {put, show} from "../dom.js";
import {startShell} from "../shell.js";
import {boot, t} from "../texts.js";

const form = document.querySelector("form");
const told = document.getElementById("told");

startShell();
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  show(told, false);
  try {
    await api("/session", { method: "POST", body: { name: form.name.value.trim(), password: form.password.value }, stay: true });
    location.assign(boot.data.next);
  } catch (error) {
    put(told, error.status === 429 ? t("sign_in.slow") : error.text);
    show(told, true);
    form.password.select();
    button.disabled = false;
  }
});
