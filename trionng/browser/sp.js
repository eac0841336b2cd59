/** nng's protocols over WebSocket, for web pages and Node. A socket dials a listener of trionng and
 * dials again whenever its connection ends, until `close()`. The types are in sp.d.ts. */

/** A received message: bytes, which can be read as text or as JSON. */
export class Message extends Uint8Array {
  text() { return new TextDecoder().decode(this); }
  json() { return JSON.parse(this.text()); }
}

/** Return a frame: the header that nng wants, and the data; text is sent as UTF-8. */
function join(header, data) {
  if (typeof data === "string") data = new TextEncoder().encode(data);
  const view = ArrayBuffer.isView(data) ? data : new DataView(data); // a TypeError for all else
  const frame = new Uint8Array(header.length + view.byteLength);
  frame.set(header);
  frame.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), header.length);
  return frame;
}

class Socket {
  #queue = new Map(); // frames that wait for a connection, in order, by the call that waits
  #pause = 0; // before the next attempt, in milliseconds
  #timer; // of an attempt, of the next one, or of the next look at a slow connection
  #closed; // a promise, from close() on
  #ws;
  _asked = new Map(); // calls that wait for a reply, by the header of their request
  constructor(url, options = {}) {
    const { topics = [], reconnectTimeMin: min = 100, reconnectTimeMax: max = 10000 } = options;
    this._topics = new Map([topics].flat().map((each) => [String(join([], each)), join([], each)]));
    this._options = options;
    const dial = () => {
      const ws = (this.#ws = new WebSocket(url, `${this._protocol}.sp.nanomsg.org`));
      let opened = Infinity;
      this.#later(10000, () => ws.onclose({ code: 4001, reason: "no answer" }));
      ws.binaryType = "arraybuffer";
      ws.onerror = () => {}; // `onclose` is called too
      ws.onopen = () => {
        clearTimeout(this.#timer);
        opened = performance.now();
        this.#flush();
        options.onstate?.({ connected: true });
      };
      ws.onmessage = ({ data }) => {
        const size = typeof data === "string" ? NaN : this._headerSize(new Uint8Array(data));
        if (!(size <= data.byteLength)) return ws.onclose({ code: 4000, reason: "not nng" });
        this._take(new Message(data, size), new Uint8Array(data, 0, size), ws);
      };
      ws.onclose = ({ code, reason }) => {
        ws.onopen = ws.onmessage = ws.onclose = null;
        ws.close();
        const lasted = performance.now() - opened > this.#pause; // else it counts as a failure
        this.#pause = Math.min((!lasted && 2 * this.#pause) || min, max);
        const retryAfter = this.#pause * (0.5 + Math.random() / 2);
        this.#later(retryAfter, dial);
        this.#fail(this._asked.values(), "NetworkError", `${url}: the connection ended (${code})`);
        options.onstate?.({ connected: false, code, reason, retryAfter });
      };
    };
    dial();
  }

  /** End for good: what was sent goes out, and calls that still wait reject. */
  close() {
    return (this.#closed ??= new Promise((resolve) => {
      this.#fail([...this.#queue.keys(), ...this._asked.values()], "InvalidStateError", "closed");
      this.#later(this.#ws.readyState === WebSocket.CLOSED ? 0 : 5000, resolve);
      const onclose = () => this.#later(0, resolve);
      Object.assign(this.#ws, { onopen: null, onmessage: null, onclose }).close();
    }));
  }
  /** Send when there is a connection; with an id, wait for the reply. */
  async _submit(frame, { signal } = {}, id = "") {
    signal?.throwIfAborted();
    const call = { id };
    const result = new Promise((resolve, reject) => Object.assign(call, { resolve, reject }));
    const abort = () => { this.#queue.delete(call); call.reject(signal.reason); };
    signal?.addEventListener("abort", abort);
    if (this.#closed) this.#fail([call], "InvalidStateError", "closed");
    else this.#queue.set(call, frame);
    this.#flush();
    return result.finally(() => {
      signal?.removeEventListener("abort", abort);
      this._asked.delete(id);
    });
  }

  #flush() {
    for (const [call, frame] of this.#ws.readyState === WebSocket.OPEN ? this.#queue : []) {
      if (this.#ws.bufferedAmount > 1 << 20) return this.#later(10, () => this.#flush());
      this.#queue.delete(call);
      call.id ? this._asked.set(call.id, call) : call.resolve();
      this.#ws.send(frame);
    }
  }
  #later(ms, call) { clearTimeout(this.#timer); this.#timer = setTimeout(call, ms); }
  #fail(calls, name, why) { for (const call of calls) call.reject(new DOMException(why, name)); }
  _headerSize() { return 0; } // of what nng puts before each message
  _take(message) { this._options.onmessage?.(message); }
}

/** Subscribes to a Pub0: gets the messages that begin with one of its topics. */
export class Sub extends Socket {
  get _protocol() { return "pub"; }
  subscribe(topic) { this._topics.set(String(join([], topic)), join([], topic)); }
  unsubscribe(topic) { return this._topics.delete(String(join([], topic))); }
  _take(message) {
    for (const topic of this._topics.values())
      if (topic.every((byte, at) => byte === message[at])) return super._take(message);
  }
}

/** Asks a Rep0: any number of requests at once, each with a number of its own. */
export class Req extends Socket {
  #last = Math.floor(Math.random() * 2 ** 31);
  get _protocol() { return "rep"; }
  async request(data, until) {
    const id = (this.#last = (this.#last + 1) % 2 ** 31);
    const header = Uint8Array.of(128 | (id >> 24), id >> 16, id >> 8, id); // the top bit is set
    return this._submit(join(header, data), until, String(header));
  }
  _headerSize() { return 4; }
  _take(reply, header) { this._asked.get(String(header))?.resolve(reply); }
}

/** Sends to a Pull0. */
export class Push extends Socket {
  get _protocol() { return "pull"; }
  async send(data, until) { return this._submit(join([], data), until); }
}

/** Talks with a Pair0, or with `version: 1` a Pair1. */
export class Pair extends Socket {
  get _protocol() { return this._options.version ? "pair1" : "pair"; }
  get _header() { return this._options.version ? [0, 0, 0, 1] : []; }
  async send(data, until) { return this._submit(join(this._header, data), until); }
  _headerSize() { return this._header.length; }
}

/** Answers a Surveyor0 with what `onmessage` returns, or promises; undefined is no answer. */
export class Respondent extends Socket {
  get _protocol() { return "surveyor"; }
  _headerSize(bytes) { // words, up to the first whose top bit is set
    return (bytes.findIndex((byte, at) => at % 4 === 0 && byte > 127) + 1 || NaN) + 3;
  }
  _take(survey, header, ws) {
    Promise.resolve(this._options.onmessage?.(survey)).then((answer) => {
      if (answer !== undefined && ws.readyState === 1) ws.send(join(header, answer));
    });
  }
}
