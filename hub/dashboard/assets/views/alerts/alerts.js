// The user's alerts: all of them, or one with all that became of it.

import { go } from "../../core/router.js";
import { mountAlert } from "./detail.js";
import { mountList } from "./list.js";

/** @param {import("../../core/router.js").Route} there */
const wanted = ({ rest }) => (/^\d+$/.test(rest[0] ?? "") ? Number(rest[0]) : null);

/** @type {(root: HTMLElement, route: import("../../core/router.js").Route) => import("../../app.js").View} */
export function mount(root, route) {
  let shown = wanted(route);
  const show = () => (shown === null ? mountList(root) : mountAlert(root, shown, { left: () => go("#/alerts") }));
  let here = show();
  return {
    update(there) {
      if (wanted(there) === shown) return;
      here.end();
      shown = wanted(there);
      root.replaceChildren();
      here = show();
      scrollTo(0, 0);
    },
    end: () => here.end(),
  };
}
