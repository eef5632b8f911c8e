// For who has no account here: what one gives, where to get one, and what works without.

import { boot } from "../../core/boot.js";
import { h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { href } from "../../core/router.js";
import { session } from "../../core/session.js";
import { card } from "./parts.js";

/** Whether whoever is looking has an account here, as far as is known without asking. */
export const hasAccount = () => session.current.value.kind === "account";

export function withoutAccount() {
  const demo = session.current.value.kind === "demo";
  const points = [
    t("Alerts by mail, SMS and call, to an address and a number of your own"),
    t("A password, a second factor, and a list of the devices that are logged in"),
    t("The same watchlist, alerts and preferences wherever you log in"),
    t("API keys for your programs that last as long as you like"),
  ];
  return card(
    { title: demo ? t("You are looking around") : t("You came with a token"), class: "invitation" },
    h("p", null, demo
      ? t("All that can be seen works without an account: markets, charts, alerts on this page, language, theme and notification preferences.")
      : t("The token says who you are: {user}. Language, theme, notification preferences and API keys work with it too; a password, a mail address and a telephone belong to an account.", { user: session.current.value.user })),
    h("h3", null, t("An account adds")),
    h("ul.points", null, points.map((text) => h("li", null, icon("check"), h("span", null, text)))),
    h("div.row", null,
      h("a.button.primary", { href: `${href("login", "register")}?to=${encodeURIComponent("#/account")}` }, t("Create an account")),
      h("a.button", { href: `${href("login")}?to=${encodeURIComponent("#/account")}` }, boot.sign_in_with ? t("Log in or sign in with {name}", { name: boot.sign_in_with }) : t("Log in"))),
  );
}
