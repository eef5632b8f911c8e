// Browsers and systems, in words, out of what they call themselves.

/** @type {[mark: RegExp, name: string][]} */
const BROWSERS = [[/Edg/, "Edge"], [/OPR\//, "Opera"], [/SamsungBrowser/, "Samsung Internet"], [/Firefox\/|FxiOS/, "Firefox"], [/Chrome\/|CriOS/, "Chrome"], [/Safari\//, "Safari"], [/^curl\//, "curl"], [/^python|aiohttp|httpx/i, "Python"]];
/** @type {[mark: RegExp, name: string][]} */
const SYSTEMS = [[/Android/, "Android"], [/iPhone/, "iPhone"], [/iPad/, "iPad"], [/Windows/, "Windows"], [/CrOS/, "ChromeOS"], [/Mac OS/, "macOS"], [/Linux/, "Linux"]];

/** @param {[RegExp, string][]} known @param {string} agent */
const among = (known, agent) => known.find(([mark]) => mark.test(agent))?.[1] ?? "";

/** `Firefox, Windows`; empty where nothing is recognised. @param {string} agent */
export const deviceOf = (agent) => [among(BROWSERS, agent), among(SYSTEMS, agent)].filter(Boolean).join(", ");

/** Whether it is something held in a hand. @param {string} agent */
export const isHandheld = (agent) => /Android|iPhone|iPad|Mobile/.test(agent);
