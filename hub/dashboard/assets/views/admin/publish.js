// Publishing one message by hand, with what its channel expects.

import { post } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { clock } from "../../core/format.js";
import { ApiError } from "../../core/http.js";
import { t } from "../../core/i18n.js";
import { field, input, worker } from "../../ui/controls.js";

/** Something to begin with for each kind of channel. @type {[channel: string, data: object][]} */
const EXAMPLES = [
  ["market:NSE:RELIANCE", { price: 1545.5 }],
  ["signals:generated", { symbol: "RELIANCE", signal_type: "BUY", confidence: 72, entry_price: 1545, target_price: 1580, stop_loss: 1530, reason: "Closed above its 20-day average" }],
];

/** @param {HTMLElement} panel */
export function mountPublish(panel) {
  const channel = input({ value: EXAMPLES[1][0], list: "publish-channels", spellcheck: "false" });
  const data = h("textarea.mono", { rows: "10", spellcheck: "false", value: JSON.stringify(EXAMPLES[1][1], null, 2) });
  const key = input({ placeholder: t("optional"), spellcheck: "false" });
  const names = h("datalist", { id: "publish-channels" }, EXAMPLES.map(([name]) => h("option", { value: name })));
  const channelField = field(t("Channel"), channel, { hint: t("Everybody who hears it gets the message at once.") });
  const dataField = field(t("Message, a JSON object"), data);
  const said = h("ol.sent", { "aria-live": "polite" });
  channel.addEventListener("change", () => {
    const example = EXAMPLES.find(([name]) => name === channel.value);
    if (example) data.value = JSON.stringify(example[1], null, 2);
  });

  async function send() {
    channelField.fail("");
    dataField.fail("");
    let read;
    try { read = JSON.parse(data.value); } catch (error) { return dataField.fail(t("This is no JSON: {why}", { why: /** @type {Error} */ (error).message })); }
    try {
      const answer = await post("/publish", { channel: channel.value, data: read, ...(key.value ? { idempotency_key: key.value } : {}) });
      const place = answer.offset === undefined ? "" : ` · ${t("offset {offset}", { offset: answer.offset })}`;
      said.prepend(h("li", null, `${clock(Date.now())} `, h("code", null, answer.channel), answer.duplicate ? ` · ${t("was published before with this key")}` : place));
      while (said.children.length > 8) said.lastElementChild?.remove();
    } catch (error) {
      const about = error instanceof ApiError && error.code === "UNKNOWN_CHANNEL" ? channelField : dataField;
      about.fail(/** @type {Error} */ (error).message);
    }
  }

  fill(panel, h("form.form", { onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
    channelField, names, dataField,
    field(t("Idempotency key"), key, { hint: t("The same key publishes once, however often it is sent.") }),
    h("div", null, worker("button.primary", { onclick: send, type: "submit" }, t("Publish"))), said));
}
