import {api} from "../api.js";
import {put, show} from "../dom.js";
import {startShell} from "../shell.js";
import {t} from "../texts.js";

const form = document.querySelector("form");
const told = document.getElementById("told");

function complain(text) {
  put(told, text);
  show(told, true);
}

startShell();
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [code, name, password] = [form.code.value.trim(), form.name.value.trim(), form.password.value];
  if (password !== form.again.value) return complain(t("set_up.differs"));
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await api("/setup", { method: "POST", body: { name, password }, headers: { Authorization: `Bearer ${code}` }, stay: true });
    await api("/session", { method: "POST", body: { name, password }, stay: true });
    location.assign("/");
  } catch (error) {
    complain(error.code === "invalid" ? t("set_up.invalid") : error.text);
    button.disabled = false;
  }
});
