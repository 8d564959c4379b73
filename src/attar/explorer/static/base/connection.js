/** The conversation with the server: questions go out, answers come back, and only the newest count. */

import { unpack } from "./frames.js";

/** @typedef {import("./frames.js").Table} Table */
/** @typedef {{fields: any, arrays: Record<string, Table>}} Reply */
/** @typedef {{done: number, of: number, what: string}} Progress */

/** A newer question of the same topic took the place of this one, or it was taken back. */
export class Superseded extends Error {}

/** The server is not there (any more). */
export class Disconnected extends Error {}

/**
 * @typedef {object} Waiting
 * @property {(reply: Reply) => void} resolve
 * @property {(reason: Error) => void} reject
 * @property {((progress: Progress) => void) | undefined} onprogress
 */

export class Connection extends EventTarget {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  /** @type {Map<string, number>} the newest question of each topic that was answered */
  #painted = new Map();
  #count = 0;
  #token;
  /** What the server said first. @type {any} */
  hello = null;

  /** @param {string} token */
  constructor(token) {
    super();
    this.#token = token;
  }

  get token() {
    return this.#token;
  }

  /**
   * Open the connection; when it breaks it is opened again, and says so in the events "lost" and "found".
   *
   * @returns {Promise<any>} what the server says first
   */
  open() {
    return new Promise((resolve, reject) => {
      /** @type {WebSocket} */
      let socket;
      try {
        socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/talk`, ["attar", this.#token]);
      } catch {
        reject(new Disconnected()); // What there is of a token could not be one.
        return;
      }
      socket.binaryType = "arraybuffer";
      socket.onmessage = (event) => {
        const { header, arrays } = unpack(event.data);
        if (header.hello) {
          this.#socket = socket;
          this.hello = header.hello;
          this.#token = header.hello.token; // where we came by invitation, which is taken once
          resolve(header.hello);
        } else {
          this.#hear(header, arrays);
        }
      };
      socket.onclose = () => {
        const had = this.#socket === socket;
        this.#socket = null;
        for (const each of this.#waiting.values()) each.reject(new Disconnected());
        this.#waiting.clear();
        reject(new Disconnected());
        if (had) this.#lose();
      };
    });
  }

  #lose() {
    this.dispatchEvent(new Event("lost"));
    const again = async () => {
      try {
        await this.open();
        this.dispatchEvent(new Event("found"));
      } catch {
        setTimeout(again, 1000);
      }
    };
    setTimeout(again, 300);
  }

  /**
   * Ask the server.
   *
   * Questions of one topic are answered one at a time; of those that wait, only the newest is.
   *
   * @param {string} what such as "extract.maps"
   * @param {Record<string, unknown>} [fields]
   * @param {{topic?: string, onprogress?: (progress: Progress) => void, signal?: AbortSignal}} [options]
   * @returns {Promise<Reply>} rejects with Superseded, Disconnected, or an Error with the server's words
   */
  ask(what, fields = {}, { topic = what, onprogress, signal } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new Disconnected());
        return;
      }
      const id = ++this.#count;
      const settled = (/** @type {Reply} */ reply) => {
        // An answer that is older than one that was given already comes too late.
        if (id < (this.#painted.get(topic) ?? 0)) {
          reject(new Superseded());
        } else {
          this.#painted.set(topic, id);
          resolve(reply);
        }
      };
      this.#waiting.set(id, { resolve: settled, reject, onprogress });
      this.#socket.send(JSON.stringify({ ...fields, id, ask: what, topic }));
      signal?.addEventListener("abort", () => {
        if (this.#waiting.delete(id)) {
          this.#socket?.send(JSON.stringify({ cancel: id }));
          reject(new Superseded());
        }
      });
    });
  }

  /**
   * @param {any} header
   * @param {Record<string, Table>} arrays
   */
  #hear(header, arrays) {
    const waiting = this.#waiting.get(header.id);
    if (!waiting) return;
    if (header.progress) {
      waiting.onprogress?.(header.progress);
      return;
    }
    this.#waiting.delete(header.id);
    if (header.fields) waiting.resolve({ fields: header.fields, arrays });
    else waiting.reject(header.error ? new Error(header.error) : new Superseded());
  }

  /**
   * Send something by HTTP: a picture, a model, the wish for a file.
   *
   * @param {string} path
   * @param {BodyInit} body
   * @param {Record<string, string>} [headers]
   * @returns {Promise<Response>} rejects with an Error with the server's words
   */
  async post(path, body, headers = {}) {
    /** @type {Response} */
    let response;
    try {
      response = await fetch(path, {
        method: "POST",
        body,
        headers: { ...headers, "X-Attar-Token": this.#token },
      });
    } catch {
      throw new Disconnected();
    }
    if (response.ok) return response;
    const text = await response.text();
    let message = text;
    try {
      message = JSON.parse(text).error;
    } catch {
      // A refusal in plain words.
    }
    throw new Error(message);
  }
}
