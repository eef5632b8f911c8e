// The password, the second factor, and where one is logged in.

import { post, remove } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { ago, day, moment } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { session } from "../../core/session.js";
import { worker } from "../../ui/controls.js";
import { confirmed } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { deviceOf, isHandheld } from "./devices.js";
import { form, passwordField, value } from "./form.js";
import { card, loaded } from "./parts.js";
import { passwordRules } from "./password-rules.js";
import { secondFactorCard } from "./second-factor.js";
import { hasAccount, withoutAccount } from "./without-account.js";

/** @param {HTMLElement} panel @param {import("./account.js").Ground} ground */
export function mountSecurity(panel, { read }) {
  if (!hasAccount()) return void panel.append(withoutAccount());
  const logins = loginsCard(read);
  panel.append(h("div.stack", null, h("div.pair", null, secondFactorCard(read), passwordCard(logins.again)), logins.element));
}

/** @param {() => void} after */
function passwordCard(after) {
  const { account } = session.current.value;
  const rules = passwordRules();
  const current = passwordField(t("Present password"), { autocomplete: "current-password" });
  const fresh = passwordField(t("New password"), { autocomplete: "new-password", hint: rules.element, oninput: () => rules.judge(value(fresh), [account.name ?? "", account.email ?? ""]) });
  // Password managers want to know whose it is.
  const whose = h("input", { type: "text", autocomplete: "username", value: account.email ?? "", readonly: true, class: "unseen", tabindex: "-1", "aria-hidden": "true" });
  const whole = form({
    fields: { current_password: current, new_password: fresh },
    button: t("Change the password"),
    kind: "",
    content: [whose, current, fresh],
    async send() {
      const { sessions_ended: ended } = await post("/auth/change-password", { current_password: value(current), new_password: value(fresh) });
      whole.reset();
      rules.judge("", []);
      notify({ kind: "good", title: t("The password is changed"), text: ended ? t("Other logins that were ended: {count}", { count: ended }) : undefined });
      after();
    },
  });
  return card({ title: t("Password"), hint: t("All other logins end when it is changed. If you came by another login and have none yet, set one by “Forgotten the password?” on the login page.") }, whole);
}

/** @param {import("./parts.js").Reading} read */
function loginsCard(read) {
  /** @type {() => void} */
  let again = () => undefined;
  const fresh = () => { read.forget("/auth/sessions"); again(); };
  const element = card(
    { title: t("Where you are logged in"), hint: t("A login ends after a week without use. Ending one closes its pages within a second.") },
    loaded(() => read.get("/auth/sessions"), ({ items }, asked) => {
      again = asked;
      return [h("ul.devices", null, items.map((/** @type {any} */ one) => login(one, fresh))), items.length > 1 ? h("div.row", null, worker("button.danger-text", { onclick: () => endOthers(items, fresh) }, t("End all others"))) : null];
    }),
  );
  return { element, again: fresh };
}

/** @param {any} one @param {() => void} fresh */
function login(one, fresh) {
  const name = deviceOf(one.user_agent) || t("Unknown device");
  return h("li", null,
    h("span.badge", null, icon(isHandheld(one.user_agent) ? "phone" : "system")),
    h("div.grow", null,
      h("div.row", null, h("strong", null, name), one.current ? h("span.pill.good", null, t("This one")) : null),
      h("p.muted", null, t("{address}, used {when}", { address: one.address, when: ago(one.last_used_at) })),
      h("p.hint", { title: moment(one.created_at) }, t("Logged in on {day}", { day: day(one.created_at) }))),
    one.current ? null : worker("button.small", { "aria-label": t("End the login on {device}", { device: name }), onclick: () => end(one, name, fresh) }, t("End")));
}

/** @param {any} one @param {string} name @param {() => void} fresh */
async function end(one, name, fresh) {
  if (!await confirmed({ title: t("End this login?"), text: t("{device} has to log in again.", { device: name }), yes: t("End it") })) return;
  try {
    await remove(`/auth/sessions/${one.id}`);
    fresh();
  } catch (error) { complain(t("The login was not ended"), error); }
}

/** @param {any[]} items @param {() => void} fresh */
async function endOthers(items, fresh) {
  const others = items.filter((one) => !one.current);
  if (!await confirmed({ title: t("End all other logins?"), text: t("They have to log in again: {count}", { count: others.length }), yes: t("End them") })) return;
  try {
    for (const one of others) await remove(`/auth/sessions/${one.id}`);
  } catch (error) { complain(t("Not all logins were ended"), error); }
  fresh();
}
