// The chart library: a classic script that the hub serves out of an installed package, loaded by the first chart.

/** @type {Promise<any> | null} */
let asked = null;

/** TradingView's Lightweight Charts. Rejects where the file can't be had; then the next call tries again. @returns {Promise<any>} */
export function chartLibrary() {
  asked ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../lightweight-charts.js", import.meta.url).href;
    script.onload = () => resolve(/** @type {any} */ (window).LightweightCharts);
    script.onerror = () => {
      asked = null;
      script.remove();
      reject(new Error("lightweight-charts.js"));
    };
    document.head.append(script);
  });
  return asked;
}
