// Rates out of counts: what an installation did each second between two looks at it.

/** Counts that only grow while a process lives. */
const COUNTED = /** @type {const} */ (["publications", "deliveries", "sent_bytes", "conflated", "slow_closes", "opened"]);

/** @typedef {Record<(typeof COUNTED)[number], number>} Rates */

/**
 * The sum over the instances that both looks saw and that didn't start anew between them; one that came later counts
 * from the next look on.
 *
 * @param {{ at: number, instances: any[] } | null} before  `at` in Unix milliseconds
 * @param {{ at: number, instances: any[] }} now
 * @returns {Rates | null}  null for the first look
 */
export function ratesBetween(before, now) {
  if (before === null || now.at <= before.at) return null;
  const seconds = (now.at - before.at) / 1000;
  const earlier = new Map(before.instances.map((one) => [one.instance, one]));
  const rates = /** @type {Rates} */ (Object.fromEntries(COUNTED.map((name) => [name, 0])));
  for (const one of now.instances) {
    const its = earlier.get(one.instance);
    if (!its || one.uptime_s < its.uptime_s) continue;
    for (const name of COUNTED) rates[name] += Math.max(0, one[name] - its[name]) / seconds;
  }
  return rates;
}
