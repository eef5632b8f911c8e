// Before anything is drawn: the theme and the language that were chosen last, so that nothing flashes.
(() => {
  const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const theme = kept("tickhub.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  document.documentElement.lang = kept("tickhub.language") || "en";
})();
