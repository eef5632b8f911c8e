// `#/account`: who one is, how one wants to be spoken to, and what guards it. A tab each: `#/account/security`.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { go, href } from "../../core/router.js";
import { session } from "../../core/session.js";
import { tabs, worker } from "../../ui/controls.js";
import { complain } from "../../ui/notices.js";
import { mountKeys } from "./api-keys.js";
import { mountLook } from "./look.js";
import { mountNotifications } from "./notifications.js";
import { pill, reading } from "./parts.js";
import { mountProfile } from "./profile.js";
import { mountSecurity } from "./security.js";

/**
 * @typedef {object} Ground  What every tab stands on.
 * @property {import("./parts.js").Reading} read
 * @property {import("../../app.js").Page} page
 */

/** @param {HTMLElement} root @param {import("../../core/router.js").Route} route @param {import("../../app.js").Page} page */
export function mount(root, route, page) {
  /** @type {Ground} */
  const ground = { read: reading(), page };
  let shown = route.rest[0] ?? "profile";
  const part = tabs({
    label: t("Account"),
    chosen: shown,
    onchoose: (id) => { shown = id; go(href("account", id), { replace: true }); },
    tabs: [
      { id: "profile", label: t("Profile and plan"), mount: (panel) => mountProfile(panel, ground) },
      { id: "look", label: t("Language and theme"), mount: (panel) => mountLook(panel, ground) },
      { id: "security", label: t("Security"), mount: (panel) => mountSecurity(panel, ground) },
      { id: "keys", label: t("API keys"), mount: (panel) => mountKeys(panel, ground) },
      { id: "notifications", label: t("Notifications"), mount: (panel) => mountNotifications(panel, ground) },
    ],
  });
  const head = h("header");
  const end = session.current.on(() => fill(head, ...whoOne()));
  fill(root, h("div.page", null, head, part));
  return {
    end() { end(); part.end(); },
    update(/** @type {import("../../core/router.js").Route} */ { rest }) {
      const wanted = rest[0] ?? "profile";
      if (wanted !== shown) part.choose(shown = wanted);
    },
  };
}

/** Who is looking, and the way out. */
function whoOne() {
  const { kind, account, user, plan, role } = session.current.value;
  const name = kind === "demo" ? t("Demonstration") : account?.name || account?.email || user;
  const out = () => session.logout().catch((error) => complain(t("Logging out failed"), error));
  return [
    h("span.avatar", { "aria-hidden": "true" }, [...name][0]?.toLocaleUpperCase() ?? "?"),
    h("div.grow", null, h("h1.cut", null, name), kind === "account" && account.name ? h("p.muted.cut", null, account.email) : null),
    role === "user" ? null : pill("", role === "admin" ? t("Administrator") : t("Publisher")),
    pill("good", t("Plan {plan}", { plan })),
    kind === "demo" ? h("a.button.primary", { href: href("login", "register") }, t("Create an account")) : worker("button", { onclick: out }, icon("logout"), t("Log out")),
  ];
}
