// The few things we ask of the document.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

export function icon(name) {
  const node = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  node.setAttribute("class", "i");
  node.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  node.append(use);
  return node;
}

// The parts of a piece of the page that the server wrote, by the names it gave them.
export function parts(root) {
  return Object.fromEntries([...root.querySelectorAll("[data-part]")].map((node) => [node.dataset.part, node]));
}

export function clone(name) {
  const node = document.getElementById(`t-${name}`).content.firstElementChild.cloneNode(true);
  node.refs = parts(node);
  return node;
}

export function setIcon(node, name) {
  const use = node.firstElementChild;
  if (use.getAttribute("href") !== `#i-${name}`) use.setAttribute("href", `#i-${name}`);
}

// Touch the document only where something changed: what is touched is drawn again, and read out again.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function putName(node, text) {
  put(node, text);
  if (node.title !== text) node.title = text;
}

export function mark(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

// Children of `parent` in the order of `items`, each kept as long as its key is there.
export function keyed(parent, items, keyOf, make, update) {
  const held = parent.held || (parent.held = new Map());
  const gone = new Set(held.keys());
  const focused = document.activeElement;
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = held.get(key);
    if (!node) {
      node = make(item);
      held.set(key, node);
    }
    gone.delete(key);
    update(node, item);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  for (const key of gone) {
    held.get(key).remove();
    held.delete(key);
  }
  // A node that was moved has lost its focus.
  if (focused && focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}
