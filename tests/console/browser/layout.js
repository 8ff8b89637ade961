// Finds what spills out of its place. Gives a list of words about each.
() => {
  const CARDS = ".door, .alarm, .kpi, .card, .chip, exception-feed li, exception-feed > header, td, th, .top, .rail a, .rail button, dialog[open], .bar, .filters, .group h2, .banner, .toast";
  const WHOLE = "[data-part=word], [data-part=level], .door header b, .state, .live, .kpi b, .count, button, .badge, [role=tab], th, .tag";
  const found = [];
  const seen = (node) => {
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    return style.visibility !== "hidden" && style.display !== "none" && box.width > 0 && box.height > 0 && !node.closest(".unseen, .sprite, .skip, [hidden], template");
  };
  const name = (node) => `${node.tagName.toLowerCase()}.${[...node.classList].join(".")}[${node.dataset.part || node.dataset.do || ""}] "${node.textContent.trim().slice(0, 30)}"`;
  const text = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  const scroller = (node) => /auto|scroll/.test(getComputedStyle(node).overflowX + getComputedStyle(node).overflowY);

  if (document.scrollingElement.scrollWidth > innerWidth) found.push(`the page scrolls sideways: ${document.scrollingElement.scrollWidth} > ${innerWidth}`);

  for (const card of document.querySelectorAll(CARDS)) {
    if (!seen(card)) continue;
    const outer = card.getBoundingClientRect();
    const inside = [...card.querySelectorAll("*")].filter((node) => seen(node) && !node.closest("svg svg") && !(node instanceof SVGElement && node.tagName !== "svg"));
    for (const node of inside) {
      let scrolls = false;
      for (let up = node.parentElement; up && up !== card.parentElement; up = up.parentElement) scrolls ||= scroller(up);
      if (scrolls || getComputedStyle(node).position === "absolute") continue;
      const box = node.getBoundingClientRect();
      if (box.left < outer.left - 1 || box.right > outer.right + 1 || box.top < outer.top - 1 || box.bottom > outer.bottom + 1) found.push(`${name(node)} leaves ${name(card)}`);
    }
    const leaves = inside.filter((node) => (text(node) || node.matches("button, input, select, svg")) && ![...node.children].some((child) => text(child)) && !node.parentElement.closest("button, .chip-device, .ranges") && getComputedStyle(node).display !== "inline" && getComputedStyle(node).position !== "absolute");
    leaves.forEach((one, at) => {
      const a = one.getBoundingClientRect();
      for (const other of leaves.slice(at + 1)) {
        if (one.contains(other) || other.contains(one)) continue;
        const b = other.getBoundingClientRect();
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 1.5 && high > 3) found.push(`${name(one)} lies over ${name(other)}`);
      }
    });
  }
  for (const node of document.querySelectorAll("body *")) {
    if (!seen(node) || !text(node) || node instanceof SVGElement) continue;
    const style = getComputedStyle(node);
    if (style.display === "inline" || node.matches("option, script, style, textarea, select")) continue;
    const spills = node.scrollWidth > node.clientWidth + 1;
    if (spills && style.overflowX === "visible") found.push(`${name(node)} is wider than its place`);
    if (spills && style.overflowX !== "visible" && node.closest(WHOLE)) found.push(`${name(node)} is cut off`);
  }
  return [...new Set(found)];
}
