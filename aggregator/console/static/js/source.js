// One stream of server-sent events, kept up: read by fetch, because that says why a stream was refused. After an end it
// comes back with the last id that it has, first at once and then more slowly.

const WAITS_MS = [100, 500, 1000, 2000, 3000];

export class Source {
  // silentMs: a line that was cut without a word never says so by itself. told: {frame, hello, gap, beat, refused}.
  constructor(path, silentMs, told) {
    this.path = path;
    this.silentMs = silentMs;
    this.told = told;
    this.position = null;
    this.tries = 0;
    this.abort = null;
    this.timer = null;
  }

  get running() {
    return this.abort !== null || this.timer !== null;
  }

  // after: where to begin; absent: with what comes.
  open(after) {
    this.close();
    this.position = after ?? null;
    this.run();
  }

  close() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.abort) this.abort.abort();
    this.abort = null;
  }

  async run() {
    this.timer = null;
    const abort = (this.abort = new AbortController());
    let status = 0;
    try {
      status = await this.read(abort);
    } catch {
      // The network, or an end in the middle of something: both are an end.
    }
    if (this.abort !== abort) return;
    this.abort = null;
    if (status === 401 || status === 403) this.told.refused(status);
    else this.timer = setTimeout(() => this.run(), WAITS_MS[Math.min(this.tries++, WAITS_MS.length - 1)]);
  }

  async read(abort) {
    const sign = this.path.includes("?") ? "&" : "?";
    const at = this.position === null ? "" : `${sign}after=${this.position}`;
    const answer = await fetch(this.path + at, { signal: abort.signal, credentials: "same-origin", cache: "no-store" });
    if (!answer.ok) return answer.status;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const silent = setTimeout(() => abort.abort(), this.silentMs);
      const { value, done } = await reader.read().finally(() => clearTimeout(silent));
      if (done || this.abort !== abort) return 0;
      text += value;
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
        this.take(text.slice(0, end));
        if (this.abort !== abort) return 0;
      }
    }
  }

  take(block) {
    let name = "frame";
    let id = null;
    let data = null;
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("id: ")) id = Number(line.slice(4));
      else if (line.startsWith("data: ")) data = JSON.parse(line.slice(6));
    }
    this.tries = 0;
    this.told.beat();
    if (data === null) return;
    if (id !== null) this.position = id;
    if (name in this.told) this.told[name](data);
  }
}
