// A source with its listeners. It keeps the last frames, so that who joins late misses nothing: everything after
// position `from` is here. A listener whose snapshot is older than that is told of a gap and takes a new one.

import {Source} from "./source.js";

const KEPT = 300;

export class Channel {
  constructor(path, silentMs) {
    this.ports = new Set();
    this.frames = [];
    this.from = null;
    this.hello = null;
    this.behind = false;
    this.source = new Source(path, silentMs, {
      frame: (data) => this.took(data),
      hello: (data) => this.greeted(data),
      gap: () => this.fellBehind(),
      beat: () => this.tell({ beat: true }),
      refused: (status) => this.refused(status),
    });
  }

  // after, at: position and time of the listener's snapshot; absent when it only wants what comes.
  join(port, after, at) {
    this.ports.add(port);
    if (!this.source.running) {
      // Nobody listened: what was kept is old, and the newcomer's snapshot is newer.
      this.frames = [];
      this.hello = null;
      this.behind = false;
      this.from = after ?? null;
      this.source.open(after);
      return;
    }
    if (this.hello) port.postMessage({ hello: this.hello });
    if (after === undefined || this.from === null) return;
    if (after < this.from) {
      port.postMessage({ gap: true });
      return;
    }
    for (const frame of this.frames) {
      if (frame.position > after || (frame.position === after && frame.at > at)) port.postMessage({ frame });
    }
  }

  leave(port) {
    if (this.ports.delete(port) && this.ports.size === 0) this.source.close();
  }

  greeted(hello) {
    this.hello = hello;
    this.tell({ hello });
    const head = hello.position ?? hello.head;
    const last = this.source.position;
    if (last !== null && head >= last) return;
    // The first word of a stream; or a ledger that was restored from a backup and ends before what we have.
    this.frames = [];
    this.from = this.source.position = head;
    if (last !== null || this.behind) this.tell({ gap: true });
    this.behind = false;
  }

  took(frame) {
    this.frames.push(frame);
    if (this.frames.length > KEPT) this.from = this.frames.shift().position;
    this.tell({ frame });
  }

  fellBehind() {
    // Told of only when the new stream stands, so that a snapshot taken then is not older than it.
    this.frames = [];
    this.from = null;
    this.behind = true;
    this.source.open();
  }

  refused(status) {
    this.tell({ refused: status });
    this.ports.clear();
  }

  tell(message) {
    for (const port of this.ports) port.postMessage(message);
  }
}
