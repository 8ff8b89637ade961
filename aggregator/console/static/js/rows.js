// A record as a row of a table.

import {h} from "./dom.js";
import {detailOf, toneOf, whatOf} from "./records.js";
import {ago, t, when} from "./texts.js";

// where: a node or a text for the column of places; false: the table has none.
export function row(record, { where }) {
  const tail = record.credential && record.credential.tail ? `…${record.credential.tail}` : "";
  return h(
    "tr",
    { "data-tone": toneOf(record) },
    h("td", { class: "time", title: ago(record.occurred) }, when(record.occurred)),
    h("td", null, h("b", null, whatOf(record)), record.historical && h("span", { class: "tag" }, t("feed.historical"))),
    where !== false && h("td", { class: "wide" }, where),
    h("td", { class: "wide" }, detailOf(record)),
    h("td", null, tail),
  );
}
