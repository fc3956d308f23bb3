// The service worker keeps page, SDK and engine, so that the page opens without a network; a new version of them waits until
// somebody reloads.

import { banner } from "./notices.js";

const WORKER = "/vsync-sw.js";

/** Does nothing where there is no service worker, in the browser or at the host. */
export async function keepForOffline() {
  const workers = navigator.serviceWorker;
  if (!workers) return;
  try {
    const registration = await workers.register(WORKER);
    if (registration.waiting && workers.controller) offer(registration.waiting);
    registration.addEventListener("updatefound", () => {
      const worker = registration.installing;
      worker?.addEventListener("statechange", () => worker.state === "installed" && workers.controller && offer(worker));
    });
  } catch {
    // A host without the file, or a browser that allows none: the page works, but needs the network to open.
  }
}

function offer(worker) {
  const take = () => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
    worker.postMessage("skipWaiting");
  };
  banner("update", { title: "A new version is ready.", detail: "What you wrote is stored.", buttons: [["Reload", take]] });
}
