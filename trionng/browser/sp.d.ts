/**
 * The types of sp.js, for TypeScript and for editors: nng's protocols over WebSocket.
 *
 * Each class is named after the page's side, and dials a listener of the other side: a `Sub` dials a
 * `Pub0`. It dials again when the connection ends, until `close()`.
 */

/** What can be sent. Text is sent as UTF-8. */
export type Data = string | ArrayBuffer | ArrayBufferView;

/** A received message: bytes, which can be read as text or as JSON. */
export class Message extends Uint8Array {
  text(): string;
  json(): any;
}

/** What has become of the connection. */
export interface State {
  connected: boolean;
  /**
   * WebSocket's code of the end. 1006 has many causes: no server, a refused origin, a lost network.
   * 4000: the server said what is not nng; 4001: it did not answer an attempt within 10 seconds.
   */
  code?: number;
  /** What the server said about the end, if anything. */
  reason?: string;
  /** The milliseconds until the next attempt. */
  retryAfter?: number;
}

export interface Options {
  /** Called when a connection begins, and each time that one ends or an attempt fails. */
  onstate?: (state: State) => void;
  /** The first pause before the next attempt, in milliseconds: 100. Half of a pause is random. */
  reconnectTimeMin?: number;
  /**
   * The longest pause: 10000. Each failure doubles the pause. It begins anew with a connection that
   * lasted longer than the pause before it.
   */
  reconnectTimeMax?: number;
}

export interface ReceiveOptions extends Options {
  /** Called with each message, in the order in which they came. */
  onmessage?: (message: Message) => unknown;
}

export interface Until {
  /** Gives up: the call rejects with the signal's reason (`TimeoutError`, `AbortError`). */
  signal?: AbortSignal;
}

declare class Socket {
  /**
   * Close for good. What was sent before still goes out. Calls that wait reject with a DOMException
   * named `InvalidStateError`. The promise resolves when the connection has ended, or after 5
   * seconds if the server does not answer.
   */
  close(): Promise<void>;
}

/** Subscribes to a `Pub0`. The server sends all messages; the topics are compared here. */
export class Sub extends Socket {
  constructor(url: string | URL, options?: ReceiveOptions & { topics?: Data | readonly Data[] });
  /** Receive messages that begin with these bytes, too; "" is every message. */
  subscribe(topic: Data): void;
  /** No longer receive them. Returns whether they were subscribed to. */
  unsubscribe(topic: Data): boolean;
}

/** Asks a `Rep0`, any number of requests at once. */
export class Req extends Socket {
  constructor(url: string | URL, options?: Options);
  /**
   * Send a request and return its reply. It waits for a connection, and is sent once: if the
   * connection ends before the reply, it rejects with a DOMException named `NetworkError`, and the
   * server may or may not have done it.
   */
  request(data: Data, until?: Until): Promise<Message>;
}

/** Sends to a `Pull0`. */
export class Push extends Socket {
  constructor(url: string | URL, options?: Options);
  /** Resolves when the message was handed to the connection; it waits for one. */
  send(data: Data, until?: Until): Promise<void>;
}

/** Talks with a `Pair0`, or with `version: 1` a `Pair1`. */
export class Pair extends Socket {
  constructor(url: string | URL, options?: ReceiveOptions & { version?: 0 | 1 });
  /** Resolves when the message was handed to the connection; it waits for one. */
  send(data: Data, until?: Until): Promise<void>;
}

/** Answers a `Surveyor0` with what `onmessage` returns, or promises; undefined is no answer. */
export class Respondent extends Socket {
  constructor(
    url: string | URL,
    options?: Options & {
      onmessage?: (survey: Message) => Data | undefined | void | Promise<Data | undefined | void>;
    },
  );
}
