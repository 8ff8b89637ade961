// One stream for all tabs of a browser: six connections to one host is all that HTTP/1.1 allows.
//
// A tab says {join: "live", after, at}: where its snapshot ends. It gets what the others got since, then what comes.

import {Channel} from "./channel.js";

// Each with the time in milliseconds after which its silence means that the line is dead.
const channels = {
  live: new Channel("/api/v1/live/stream", 6000),
  feed: new Channel("/api/v1/stream?topic=AccessControl", 40000),
};

function serve(port) {
  port.addEventListener("message", ({ data }) => {
    if (data.join) channels[data.join].join(port, data.after, data.at);
    if (data.leave) channels[data.leave].leave(port);
  });
}

self.addEventListener("connect", (event) => {
  const port = event.ports[0];
  serve(port);
  port.start();
});
if (!("onconnect" in self)) serve(self);
