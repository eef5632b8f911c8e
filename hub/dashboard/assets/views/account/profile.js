// Name, mail address, telephone; the plan and what is used of it; the end of the account.

import { put, remove } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { session } from "../../core/session.js";
import { field, input } from "../../ui/controls.js";
import { openDialog } from "../../ui/dialog.js";
import { notify } from "../../ui/notices.js";
import { mailCard, phoneCard } from "./contacts.js";
import { form, passwordField, text, value } from "./form.js";
import { card } from "./parts.js";
import { planCard } from "./plan.js";
import { hasAccount, withoutAccount } from "./without-account.js";

/** @param {HTMLElement} panel @param {import("./account.js").Ground} ground */
export function mountProfile(panel, { read }) {
  if (!hasAccount()) {
    panel.append(h("div.stack", null, withoutAccount(), planCard(read)));
    return;
  }
  const [mail, phone] = [mailCard(), phoneCard()];
  panel.append(h("div.stack", null, h("div.pair", null, nameCard(), mail.element, phone.element), planCard(read), endCard()));
  return () => { mail.end(); phone.end(); };
}

function nameCard() {
  const { account } = session.current.value;
  const name = field(t("Name"), input({ autocomplete: "name", maxlength: 100, value: account.name ?? "" }), { hint: t("As mails address you.") });
  return card({ title: t("You") }, form({
    fields: { name },
    button: t("Save"),
    kind: "",
    async send() {
      session.update(await put("/users/me", { name: text(name) }));
      notify({ kind: "good", title: t("Saved") });
    },
  }));
}

function endCard() {
  const ask = () => openDialog({ title: t("Delete the account"), body: (close) => deletion(close) });
  return card(
    { title: t("Delete the account"), hint: t("Logins, keys, alerts, preferences and addresses are deleted, at once and for good. The audit trail keeps a number without a name.") },
    h("div.row", null, h("button.danger-text", { type: "button", onclick: ask }, t("Delete the account…"))),
  );
}

/** @param {() => void} close */
function deletion(close) {
  const password = passwordField(t("Your password"), { autocomplete: "current-password" });
  return form({
    fields: { password },
    button: t("Delete it for good"),
    kind: "danger",
    content: [h("p", null, t("This can't be undone. Alerts that are set will not fire any more.")), password],
    beside: [h("button", { type: "button", onclick: () => close() }, t("Cancel"))],
    async send() {
      await session.forget(() => remove("/users/me", { password: value(password) }));
      close();
      notify({ kind: "good", title: t("The account is deleted") });
    },
  });
}
