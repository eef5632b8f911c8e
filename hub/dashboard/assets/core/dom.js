// Elements, made in one expression and without any markup in strings: what people type is never read as HTML.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * One element: `h("button.primary", { onclick: save, disabled: busy }, t("Save"))`.
 *
 * Attributes that begin with `on` are listeners; true is an attribute without a value; null, undefined and false leave
 * it out. `value`, `checked` and `hidden` are properties. Classes may stand behind the tag, and more in `class`.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K | `${K}.${string}`} tag
 * @param {Record<string, any> | null} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = /** @type {HTMLElementTagNameMap[K]} */ (document.createElement(name));
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes ?? {})) put(element, key, value);
  element.append(...nodes(children));
  return element;
}

const PROPERTIES = new Set(["value", "checked", "hidden", "indeterminate", "selected"]);

/** @param {HTMLElement} element  @param {string} key  @param {any} value */
function put(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (key === "class") element.classList.add(...String(value).split(" ").filter(Boolean));
  else if (key === "dataset") Object.assign(element.dataset, value);
  else if (PROPERTIES.has(key)) /** @type {any} */ (element)[key] = value;
  else element.setAttribute(key, value === true ? "" : String(value));
}

/** @param {(Child | Child[])[]} children  @returns {(Node | string)[]} */
function nodes(children) {
  return /** @type {(Node | string)[]} */ (
    children.flat().filter((one) => one !== null && one !== undefined && one !== false).map((one) => (typeof one === "number" ? String(one) : one))
  );
}

/** Puts these in the place of all that an element holds. @param {Element} element @param {...(Child | Child[])} children */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/** Puts a text into an element, unless it is there already: what is drawn often stays untouched so. @param {Element} element @param {string} text */
export function write(element, text) {
  const node = element.firstChild;
  if (node === null) element.append(text);
  else if (node.nodeValue !== text) element.textContent = text;
}

/** Draws at most once a frame, however often it is asked. @param {() => void} draw @returns {() => void} */
export function oncePerFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
}

/** Calls once nothing has come for so long. @template {any[]} A @param {number} ms @param {(...a: A) => void} call @returns {(...a: A) => void} */
export function settled(ms, call) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), ms);
  };
}
