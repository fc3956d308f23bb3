// A service worker keeps page, SDK and engine, so that the page opens without a network. A new version of them waits until
// somebody takes it.

import { keepOffline } from "/vsync.js";
import { banner } from "./notices.js";

/** Does nothing where there is no service worker, in the browser or at the host: then opening needs the network. */
export async function keepForOffline() {
  // All that the page loads is named in its head: a test holds that.
  const files = [...document.querySelectorAll("link[href], script[src]")].map((element) => element.href || element.src);
  try {
    await keepOffline({ files, onUpdate: offer });
  } catch (error) {
    console.info("The page is not kept for later:", error.message);
  }
}

function offer(take) {
  banner("update", { title: "A new version is ready.", detail: "What you wrote is stored.", buttons: [["Reload", take]] });
}
