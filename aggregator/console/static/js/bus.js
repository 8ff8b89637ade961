// The page's end of the streams: the shared worker, or where a browser has none a worker of its own, which then is
// silent while the page is hidden, so that many tabs do not use up the connections.

import {boot} from "./texts.js";

// told: {frame, hello, gap, beat, refused}. Gives {join(after, at), leave()}.
export function subscribe(name, told) {
  const alone = !("SharedWorker" in window);
  const worker = alone ? new Worker(boot.worker) : new SharedWorker(boot.worker).port;
  let joined = false;
  worker.addEventListener("message", ({ data }) => {
    for (const [what, value] of Object.entries(data)) told[what]?.(value);
  });
  if (!alone) worker.start();
  const leave = () => worker.postMessage({ leave: name });
  addEventListener("pagehide", leave);
  if (alone) {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) leave();
      else if (joined) told.gap?.();
    });
  }
  return {
    join: (after, at) => {
      joined = true;
      worker.postMessage({ join: name, after, at });
    },
    leave: () => {
      joined = false;
      leave();
    },
  };
}
