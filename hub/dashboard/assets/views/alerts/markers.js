// Where an alert has fired, or would have, as markers on a chart.

/** @type {Record<string, number>} */
const MINUTES = { "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "1d": 1440 };
/** More markers than these have no room for figures. */
const FIGURES = 12;
/** Minutes by which India's clock is ahead of UTC. */
const AHEAD = 330;

/** One marker for each candle, with how often it fired in that. @param {{ time: string, id?: number }[]} fired @param {string} frame @returns {import("../../ui/chart.js").Marker[]} */
export function byCandle(fired, frame) {
  /** @type {Map<number, { time: string, id?: number, count: number }>} */
  const candles = new Map();
  for (const { time, id } of fired) {
    const candle = Math.floor((Date.parse(time) / 60_000 + AHEAD) / MINUTES[frame]);
    candles.set(candle, { time, id, count: (candles.get(candle)?.count ?? 0) + 1 });
  }
  return [...candles.values()].map(({ time, id, count }) => ({ time, shape: "arrowDown", colour: "--warn", text: count > 1 && candles.size <= FIGURES ? `×${count}` : "", id: id === undefined ? undefined : String(id) }));
}
