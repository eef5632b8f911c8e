// The chart beside an alert that is written: its levels, which can be moved, and where it would have fired lately.

import { post } from "../../core/api.js";
import { fill, h, settled } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { select } from "../../ui/controls.js";
import { makeChart } from "../../ui/chart.js";
import { isWhole, trialBody } from "./draft.js";
import { makeHandles } from "./handles.js";
import { frameOf, indicatorsOf, levelsFrom, moveLevel } from "./levels.js";
import { byCandle } from "./markers.js";

/** @typedef {import("./dialog.js").Editing} Editing */

const PAUSE_MS = 700;

/** @param {Editing} editing */
export function makeChartPane(editing) {
  const { draft, preview, change } = editing;
  const place = h("div.chart-place");
  const chart = makeChart(place, { label: t("Chart of the instrument; a click sets the level"), legend: false, spacing: 5, reach: 0.03 });
  const frames = select([["1m", "1m"], ["5m", "5m"], ["15m", "15m"], ["1h", "1h"], ["1d", "1d"]], { value: "5m", "aria-label": t("Candles of"), onchange: () => { show(); draw(); } });
  const show = () => chart.setSymbol(draft.value.place, frames.value);
  const handles = makeHandles(place, chart, { moved: (from, to) => moveLevel(editing, from, to) });
  const trial = makeTrial(editing, chart, frames);
  const element = h("section.chart-pane", { "aria-label": t("Chart") }, h("header.row", null, trial.element, frames), place);
  let looked = "5m";
  const draw = () => {
    const levels = levelsFrom(draft.value, preview.value.said);
    chart.setLevels(levels.map((one) => ({ price: one, label: t("Alert"), colour: "--warn" })));
    handles.show(levels);
    chart.setIndicators(indicatorsOf(preview.value.said?.tree, frames.value));
  };
  const ends = [
    draft.on(() => { show(); draw(); }),
    preview.on(({ said }) => {
      const frame = said ? frameOf(said.tree) ?? "5m" : looked;
      if (frame !== looked && [...frames.options].some(({ value }) => value === frame)) { frames.value = looked = frame; show(); }
      draw();
    }),
    chart.on("click", (/** @type {{ price: number | null }} */ event) => { if (event.price !== null) moveLevel({ draft, preview, change }, null, event.price); }),
    trial.end, handles.end, () => chart.end(),
  ];
  return { element, end: () => ends.forEach((end) => end()) };
}

/** Says how often it would have fired, and marks where; also of one that fires once, whose first time may be any of them. @param {Editing} editing @param {import("../../ui/chart.js").Chart} chart @param {HTMLSelectElement} frames */
function makeTrial({ draft, preview }, chart, frames) {
  const text = h("p.trial", { role: "status" });
  const days = select([["1", t("last day")], ["5", t("last {count} days", { count: 5 })], ["20", t("last {count} days", { count: 20 })]], { "aria-label": t("Tried over"), onchange: () => { asked = ""; ask(); } });
  let asked = "";
  /** @type {any} */
  let newest = null;
  const mark = () => { if (newest) chart.setMarkers(byCandle(newest.fired, frames.value)); };
  frames.addEventListener("change", mark);
  const tell = (/** @type {any} */ said) => {
    newest = said;
    mark();
    fill(text, said.bars ? h("strong", null, said.total === 1 ? t("Would have fired once") : said.total ? t("Would have fired {count} times", { count: said.total }) : t("Would not have fired")) : null, said.note ? h("span.small-text.muted", null, ` ${said.note}`) : null);
  };
  const ask = settled(PAUSE_MS, async () => {
    const body = trialBody(draft.value);
    const key = JSON.stringify({ ...body, ...(body.frequency === "once" ? { frequency: "every" } : {}), days: Number(days.value) });
    if (!isWhole(draft.value) || preview.value.error || key === asked) return;
    asked = key;
    const said = await post("/alerts/backtest", JSON.parse(key)).catch((error) => ({ bars: 0, fired: [], note: error.code === "BAD_REQUEST" ? null : error.message }));
    if (asked === key) tell(said);
  });
  const off = preview.on(({ said, error }) => {
    if (said) ask();
    if (error) { asked = ""; tell({ bars: 0, fired: [] }); }
  });
  const offDraft = draft.on(() => ask());
  return { element: h("div.row.grow", null, text, days), end() { off(); offDraft(); asked = "ended"; } };
}
