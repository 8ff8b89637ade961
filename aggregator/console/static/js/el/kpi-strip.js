import {mark, put} from "../dom.js";
import {live, onDraw} from "../live.js";
import {number} from "../texts.js";

const PAIRS = { devices: ["devices_up", "devices_total"], edges: ["edges_live", "edges_total"] };

class KpiStrip extends HTMLElement {
  connectedCallback() {
    onDraw((what) => what.has("kpi") && this.draw(live.kpi));
  }

  draw(kpi) {
    for (const node of this.children) {
      const name = node.dataset.kpi;
      const [some, all] = (PAIRS[name] || [name]).map((one) => kpi[one]);
      put(node.lastElementChild, all === undefined ? number(some) : `${some} / ${all}`);
      mark(node, "trouble", String(all === undefined ? name === "alarms_new" && some > 0 : some < all));
    }
  }
}

customElements.define("kpi-strip", KpiStrip);
