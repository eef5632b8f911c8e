// What administrators see: how the hub does, who is connected, who has an account, what has happened, and what to send.

import { h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { go, href } from "../../core/router.js";
import { tabs } from "../../ui/controls.js";
import { mountAudit } from "./audit.js";
import { mountConfiguration } from "./configuration.js";
import { mountConnections } from "./connections.js";
import { mountDeliveries } from "./deliveries.js";
import { mountOverview } from "./overview.js";
import { mountPublish } from "./publish.js";
import { mountUsers } from "./users.js";

/** @param {HTMLElement} root @param {import("../../core/router.js").Route} route */
export function mount(root, route) {
  const all = tabs({
    label: t("Administration"),
    chosen: route.rest[0],
    onchoose: (id) => go(href("admin", id)),
    tabs: [
      { id: "overview", label: t("Overview"), mount: mountOverview },
      { id: "connections", label: t("Connections"), mount: mountConnections },
      { id: "users", label: t("Users"), mount: mountUsers },
      { id: "audit", label: t("Audit trail"), mount: mountAudit },
      { id: "deliveries", label: t("Deliveries"), mount: mountDeliveries },
      { id: "publish", label: t("Publish"), mount: mountPublish },
      { id: "configuration", label: t("Configuration"), mount: mountConfiguration },
    ],
  });
  let shown = route.rest[0] ?? "overview";
  root.append(h("div.page", null, h("header", null, h("h1", null, t("Administration"))), all));
  return {
    /** @param {import("../../core/router.js").Route} there */
    update(there) {
      const wanted = there.rest[0] ?? "overview";
      if (wanted !== shown && document.getElementById(`tab-${wanted}`)?.getAttribute("aria-selected") !== "true") all.choose(wanted);
      shown = wanted;
    },
    end: () => all.end(),
  };
}
