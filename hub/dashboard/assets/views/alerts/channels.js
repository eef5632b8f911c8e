// By which channels an alert tells, and whether each of them reaches its owner.

import { get } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { href } from "../../core/router.js";
import { session } from "../../core/session.js";
import { checkbox } from "../../ui/controls.js";
import { WAYS, wayIcon, wayLabel } from "./labels.js";
import { ownPlan } from "./plan.js";

/** @typedef {{ reaches: boolean, text: string, link?: string, denied?: boolean }} Reach  Whether and whom a channel reaches; `denied`: the plan has none of it. */

/** @type {{ user: string, webhooks: number, sms: number, asked: boolean }} What was asked once in this page's life. */
let known = { user: "", webhooks: 0, sms: 1, asked: false };

/** Reads what the account itself doesn't say, once. */
async function learn() {
  const { user } = session.current.value;
  if (known.asked && known.user === user) return;
  const [hooks, plan] = await Promise.all([get("/users/webhooks").catch(() => ({ items: [] })), ownPlan()]);
  known = { user, webhooks: hooks.items?.length ?? 0, sms: plan?.sms_per_month ?? 1, asked: true };
}

/** @param {string} way @returns {Reach} */
function reach(way) {
  const account = session.current.value.account ?? {};
  const { webhooks, sms } = known;
  const inAccount = href("account");
  switch (way) {
    case "websocket": return { reaches: true, text: t("Always: on every page of yours that is open") };
    case "email": return account.email_verified ? { reaches: true, text: account.email } : { reaches: false, text: account.email ? t("{address} is not verified yet", { address: account.email }) : t("No mail address is known of you"), link: inAccount };
    case "sms":
    case "voice":
      if (!sms) return { reaches: false, text: t("Not in your plan; basic and higher ones have it"), link: inAccount, denied: true };
      return account.phone_verified ? { reaches: true, text: account.phone } : { reaches: false, text: account.phone ? t("{address} is not verified yet", { address: account.phone }) : t("No telephone is known of you"), link: inAccount };
    case "push": return { reaches: true, text: t("Browsers and apps that you have allowed it in"), link: inAccount };
    default: return webhooks ? { reaches: true, text: webhooks === 1 ? t("1 server of yours") : t("{count} servers of yours", { count: webhooks }) } : { reaches: false, text: t("No server is set up yet"), link: inAccount };
  }
}

/** @param {import("./dialog.js").Editing} editing */
export function makeChannels({ draft, change }) {
  const rows = h("div.channels");
  const turn = (/** @type {string} */ way, /** @type {boolean} */ on) => change({ channels: WAYS.filter((one) => (one === way ? on : draft.value.channels.includes(one))) });
  const draw = () => fill(rows, WAYS.map((way) => {
    const { reaches, text, link, denied = false } = reach(way);
    const chosen = draft.value.channels.includes(way);
    const always = way === "websocket";
    const box = checkbox(wayLabel(way), { checked: always || chosen, disabled: always || (denied && !chosen), onchange: () => turn(way, box.box.checked) });
    return h("div.channel", { class: reaches ? "" : "unreached" }, wayIcon(way), h("div.grow", null, box, h("p.hint", null, text)), link ? h("a.small-text", { href: link, target: "_blank", rel: "noopener" }, reaches ? t("Set up") : denied ? t("See the plans") : t("Put right in Account")) : null);
  }));
  draw();
  let ended = false;
  void learn().then(() => { if (!ended) draw(); });
  return {
    element: h("fieldset", null, h("legend.unseen", null, t("Told by")), rows, h("p.hint", null, t("A channel that doesn't reach you yet may be chosen: it works as soon as it does."))),
    end() { ended = true; },
  };
}
