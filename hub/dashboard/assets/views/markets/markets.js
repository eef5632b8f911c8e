import { nothing } from "../../ui/controls.js";

/** @param {HTMLElement} root @param {import("../../core/router.js").Route} _route */
export function mount(root, _route) {
  root.append(nothing("…"));
  return { end() {} };
}
