// Runs before the first paint, and before any module.

// A remembered theme must not flash in. What is remembered is "light" or "dark"; without it the system's choice holds.
(() => {
  try {
    const theme = localStorage.getItem("vsync.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch { /* a browser that remembers nothing */ }
})();

// Where a module cannot be loaded or read, nothing of the page runs that could say so.
addEventListener("error", function failed(event) {
  const script = event.target instanceof HTMLScriptElement || (event instanceof ErrorEvent && event.filename.endsWith(".js"));
  const broken = document.getElementById("broken");
  if (!script || !broken || document.documentElement.dataset.started) return;
  broken.hidden = false;
  for (const ghost of document.querySelectorAll(".ghost")) ghost.remove();
}, true);
