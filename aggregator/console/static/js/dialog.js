// Dialogs that the page makes from what the server wrote, and throws away when they close.

import {typing} from "./keys.js";

export function open(dialog) {
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before && before.isConnected) before.focus({ preventScroll: true });
  });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("input").focus();
  return dialog;
}

// The keys 1 to 4 choose among radio buttons, unless somebody is writing.
export function choose(dialog, inputs, then) {
  dialog.addEventListener("keydown", (event) => {
    if (typing(event) && event.target.type !== "radio") return;
    const input = inputs[Number(event.key) - 1];
    if (!input) return;
    event.preventDefault();
    input.checked = true;
    then(input);
  });
}
