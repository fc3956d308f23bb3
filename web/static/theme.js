// Runs before the first paint, so that a remembered theme does not flash in. What is remembered is "light" or "dark"; without
// it the system's choice holds. A browser that remembers nothing shows the system's choice too.
(() => {
  try {
    const theme = localStorage.getItem("vsync.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {}
})();
