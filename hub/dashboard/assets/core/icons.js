// Pictures of 24 by 24, drawn in lines of the text's own colour.

const PATHS = {
  markets: "M4 19V9m5 10V5m5 14v-7m5 7V8",
  alert: "M6 16V11a6 6 0 1 1 12 0v5l1.5 2h-15L6 16Zm4 4.5h4",
  signal: "M4 17 9 12l4 3 7-8m0 0h-5m5 0v5",
  account: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7 8c.6-3.4 3.4-5 7-5s6.4 1.6 7 5",
  admin: "M12 3 5 6v5c0 4.6 2.9 8.4 7 10 4.1-1.6 7-5.4 7-10V6l-7-3Z",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm5-2 4.5 4.5",
  close: "m6 6 12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  edit: "m5 19 1-4L16.5 4.500 19.500 7.500 9 18l-4 1Z",
  trash: "M5 7h14M10 7V4h4v3m-7 0 1 13h8l1-13",
  pause: "M9 6v12m6-12v12",
  play: "M8 5.500v13l10-6.500-10-6.500Z",
  test: "M4 12 20 5l-4.500 15-4-6L4 12Zm7.500 2L20 5",
  history: "M4 12a8 8 0 1 0 2.500-5.800L4 8.500M4 4v4.500h4.500M12 8v4.500l3 1.500",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-5v2m0 14v2M3 12h2m14 0h2M5.600 5.600 7 7m10 10 1.400 1.400M5.600 18.400 7 17M17 7l1.400-1.400",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500Z",
  system: "M4 5h16v11H4V5Zm5 15h6m-3-4v4",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm-9 9h18M12 3c5 5 5 13 0 18-5-5-5-13 0-18Z",
  check: "m5 12.500 4.500 4.500L19 7.500",
  warning: "M12 4 2.500 20h19L12 4Zm0 6v4.500m0 2.500v.01",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 8v5.500m0-8.500v.01",
  chevron: "m6 9 6 6 6-6",
  copy: "M9 9h11v11H9V9Zm-5 6V4h11",
  key: "M14 10a4 4 0 1 0-3.500 4L14 17.500V20h2.500v-2.500H19V15l-5-5Zm-5.500-1h.01",
  phone: "M8 3h8v18H8V3Zm3.500 15h1",
  logout: "M14 4H6v16h8m-3-8h9m-3.500-3.500L20 12l-3.500 3.500",
  star: "m12 4 2.500 5.200 5.500.700-4 4 1 5.600-5-2.700-5 2.700 1-5.600-4-4 5.500-.700L12 4Z",
  eye: "M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12Zm9.500 3a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z",
  up: "m6 14 6-6 6 6",
  down: "m6 10 6 6 6-6",
  mail: "M3.500 6h17v12.500h-17V6Zm0 .500 8.500 6.500 8.500-6.500",
  message: "M4 5h16v11h-9l-4.500 4v-4H4V5Zm4 4h8m-8 3h5",
  call: "M6 3.500h3.500l1.500 4.500-2 1.500a12 12 0 0 0 5.500 5.500l1.500-2 4.500 1.500V18c0 1.500-1 2.500-2.500 2.500C10.500 20.500 3.500 13.500 3.500 6c0-1.500 1-2.500 2.500-2.500Z",
  webhook: "M8 8.500 4.500 12 8 15.500m8-7 3.500 3.500-3.500 3.500M13.500 6l-3 12",
  screen: "M3.500 5h17v11h-17V5Zm5.500 15h6m-3-4v4",
  bolt: "M13 3 5 13.500h6L10 21l8-10.500h-6L13 3Z",
};

/** @typedef {keyof typeof PATHS} IconName */

/** @param {IconName} name  @returns {SVGSVGElement} */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  for (const [key, value] of [["viewBox", "0 0 24 24"], ["class", "icon"], ["aria-hidden", "true"], ["focusable", "false"]]) {
    picture.setAttribute(key, value);
  }
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  picture.append(path);
  return picture;
}
