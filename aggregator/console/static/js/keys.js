// One key, one deed; off while somebody types, composes Chinese, or a dialog is open.

const deeds = new Map();
let prefix = "";

export function onKey(key, deed) {
  deeds.set(key, deed);
}

export function typing(event) {
  const target = event.target;
  return event.isComposing || event.keyCode === 229 || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event) || document.querySelector("dialog[open]")) return;
  const key = prefix + event.key;
  prefix = !prefix && event.key === "g" ? "g " : "";
  const deed = deeds.get(key);
  if (!deed) return;
  if (deed(event) !== false) event.preventDefault();
});
