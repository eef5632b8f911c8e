// Which kinds of messages come by which way.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { session } from "../../core/session.js";
import { card } from "./parts.js";

/** @typedef {import("./notifications.js").Way} Way */
/** @typedef {import("./notifications.js").Kind} Kind */

/** @type {Record<Way, { name: () => string, goes: () => string }>} */
export const WAYS = {
  websocket: { name: () => t("This page"), goes: () => t("and every socket of yours") },
  email: { name: () => t("Mail"), goes: () => reach("email", t("no verified address yet")) },
  sms: { name: () => t("SMS"), goes: () => reach("phone", t("no verified number yet")) },
  voice: { name: () => t("Call"), goes: () => reach("phone", t("no verified number yet")) },
  push: { name: () => t("Push"), goes: () => t("to the browsers and apps below") },
  webhook: { name: () => t("Webhook"), goes: () => t("to your servers below") },
};

/** @type {Record<Kind, { name: () => string, is: () => string }>} */
const KINDS = {
  alert: { name: () => t("Alerts"), is: () => t("an alert fired") },
  digest: { name: () => t("Digests"), is: () => t("what fired again, in one") },
  notice: { name: () => t("Notices"), is: () => t("an alert ended, or can't be watched") },
};

const ways = () => /** @type {Way[]} */ (Object.keys(WAYS));
const kinds = () => /** @type {Kind[]} */ (Object.keys(KINDS));

/** @param {"email" | "phone"} what @param {string} otherwise */
function reach(what, otherwise) {
  const { account } = session.current.value;
  return account?.[`${what}_verified`] ? account[what] : otherwise;
}

/** @param {import("./notifications.js").Kept} kept */
export function waysCard(kept) {
  const body = h("tbody");
  const draw = () => fill(body, ways().map((way) => row(kept, way, draw)));
  draw();
  return card(
    { title: t("What comes by which way"), hint: t("Each alert says by which ways it goes; here is what may. A way that is off brings nothing, whatever an alert says.") },
    h("div.scroll", { tabindex: "0", role: "group", "aria-label": t("What comes by which way") }, h("table.by-way", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, t("Way")), h("th", { scope: "col" }, t("On")), kinds().map((kind) => h("th", { scope: "col", title: KINDS[kind].is() }, KINDS[kind].name(), h("span.hint", null, KINDS[kind].is()))))),
      body)),
    refusals(kept),
  );
}

/** @param {import("./notifications.js").Kept} kept @param {Way} way @param {() => void} draw */
function row(kept, way, draw) {
  const { channels = {}, kinds: of = {} } = kept.wishes;
  const on = channels[way] !== false;
  const name = WAYS[way].name();
  const box = (/** @type {string} */ label, /** @type {boolean} */ checked, /** @type {boolean} */ disabled, /** @type {(checked: boolean) => void} */ change) => {
    const one = h("input", { type: "checkbox", checked, disabled, "aria-label": label, onchange: () => change(one.checked) });
    return h("td", null, one);
  };
  const main = box(t("{way}: on", { way: name }), on, false, (checked) => {
    kept.change({ channels: { ...kept.wishes.channels, [way]: checked } });
    draw();
    /** @type {HTMLElement | null} */ (document.querySelector(`[data-way="${way}"] input`))?.focus();
  });
  const cells = kinds().map((kind) => box(t("{kind} by {way}", { kind: KINDS[kind].name(), way: name }), on && of[kind]?.[way] !== false, !on, (checked) => {
    kept.change({ kinds: { ...kept.wishes.kinds, [kind]: { ...kept.wishes.kinds?.[kind], [way]: checked } } });
  }));
  return h("tr", { dataset: { way } }, h("th", { scope: "row" }, name, h("span.hint", null, WAYS[way].goes())), main, cells);
}

/** What was unsubscribed by a link in a message. @param {import("./notifications.js").Kept} kept */
function refusals(kept) {
  const place = h("ul.refusals");
  const draw = () => fill(place, (kept.wishes.unsubscribed ?? []).map((one) => {
    const again = () => {
      kept.change({ unsubscribed: (kept.wishes.unsubscribed ?? []).filter((other) => other !== one) });
      draw();
    };
    const what = one.kind ? t("{kind} by {way}", { kind: KINDS[one.kind].name(), way: WAYS[one.channel].name() }) : t("Everything by {way}", { way: WAYS[one.channel].name() });
    return h("li.row", null, h("span.grow", null, t("Unsubscribed by a link in a message: {what}", { what })), h("button.small", { type: "button", onclick: again }, t("Have it again")));
  }));
  draw();
  return place;
}
