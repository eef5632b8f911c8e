// The accounts, and what an administrator may change of them.

import { post, put } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { ago, moment } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { session } from "../../core/session.js";
import { field, input, select, worker } from "../../ui/controls.js";
import { confirmed, openDialog } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { makePaged } from "../../ui/paged.js";

/** @param {readonly string[]} values @returns {[string, string][]} */
const same = (values) => values.map((one) => [one, one]);
const PLANS = /** @type {const} */ (["free", "basic", "pro", "enterprise"]);
const ROLES = /** @type {const} */ (["user", "publisher", "admin"]);

/** @param {any} user @param {() => void} refresh */
function edit(user, refresh) {
  const plan = select(same(PLANS), { value: user.plan });
  const role = select(same(ROLES), { value: user.role });
  const status = select([["active", t("active")], ["disabled", t("disabled")]], { value: user.status });
  const save = async (/** @type {() => void} */ close) => {
    const disabling = status.value === "disabled" && user.status !== "disabled";
    if (disabling && !(await confirmed({ title: t("Disable this account?"), text: t("All logins, sockets and API keys of {email} end at once; the keys for good.", { email: user.email }), yes: t("Disable") }))) return;
    const wanted = { plan: plan.value, role: role.value, status: status.value };
    const changes = Object.fromEntries(Object.entries(wanted).filter(([name, value]) => value !== user[name]));
    try {
      if (Object.keys(changes).length) await put(`/admin/users/${encodeURIComponent(user.id)}`, changes);
      notify({ kind: "good", title: t("Saved. Open sockets have the new rights within a second.") });
      close();
      refresh();
    } catch (error) {
      complain(t("The account could not be changed"), error);
    }
  };
  return openDialog({
    title: user.email,
    body: (close) => [
      h("div.stack", null,
        h("dl.facts", null, [[t("id"), user.id], [t("name"), user.name || "–"], [t("phone"), user.phone ?? "–"], [t("second factor"), user.two_factor ? t("on") : t("off")], [t("registered"), moment(user.created_at)], [t("last login"), user.last_login_at ? moment(user.last_login_at) : "–"]].map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
        h("div.columns", null, field(t("Plan"), plan), field(t("Role"), role), field(t("Status"), status))),
      h("footer", null,
        worker("button", { onclick: () => disconnect(user) }, t("End all sockets")),
        h("span.grow"),
        h("button", { type: "button", onclick: () => close() }, t("Cancel")),
        worker("button.primary", { onclick: () => save(close) }, t("Save"))),
    ],
  });
}

/** @param {any} user */
async function disconnect(user) {
  try {
    const { disconnected } = await post("/admin/disconnect", { user: user.id });
    notify({ kind: "good", title: t("{count} sockets were told to end", { count: disconnected }) });
  } catch (error) {
    complain(t("The sockets could not be ended"), error);
  }
}

/** @param {HTMLElement} panel */
export function mountUsers(panel) {
  const list = makePaged({
    path: "/admin/users",
    label: t("Users"),
    filters: [
      input({ name: "q", type: "search", placeholder: t("Name, address or id"), "aria-label": t("Name, address or id") }),
      select([["", t("Every plan")], ...same(PLANS)], { name: "plan", "aria-label": t("Plan") }),
      select([["", t("Every role")], ...same(ROLES)], { name: "role", "aria-label": t("Role") }),
      select([["", t("Active or not")], ["active", t("active")], ["disabled", t("disabled")]], { name: "status", "aria-label": t("Status") }),
    ],
    columns: [[t("Account")], [t("Plan")], [t("Role")], [t("Status")], [t("Registered")], [t("Last login")], [t("Actions"), true]],
    none: { title: t("No account fits"), text: t("Accounts are made by registering. Users of someone else's login have none here.") },
    row: (/** @type {any} */ one) => h("tr", null,
      h("td", null, h("strong", null, one.name || one.email), h("br"), h("span.muted.small-text", null, one.email, one.email_verified ? "" : ` · ${t("not verified")}`)),
      h("td", null, one.plan),
      h("td", null, one.role),
      h("td", null, h("span.pill", { class: one.status === "active" ? "good" : "bad" }, one.status === "active" ? t("active") : t("disabled"))),
      h("td", { title: moment(one.created_at) }, ago(one.created_at)),
      h("td", null, one.last_login_at ? ago(one.last_login_at) : "–"),
      h("td.number", null, h("button.small", { type: "button", disabled: one.id === session.current.value.user, onclick: () => void edit(one, list.refresh) }, t("Edit")))),
  });
  panel.append(list.element);
  return list.end;
}
