/** What all rooms share while the page is open. */

import { Connection, Disconnected } from "./connection.js";

const KEY = "attar-token";

/** @type {Connection | null} */
let open = null;

/** The connection to the server. */
export function server() {
  if (!open) throw new Error("the page is not connected yet");
  return open;
}

/**
 * Take the token out of the address, or the one of this browser, and connect with it.
 *
 * @returns {Promise<void>} rejects where the server does not take it
 */
export async function connect() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) history.replaceState(null, "", location.pathname + location.search);
  // An invitation that was taken already does no harm where this browser has the token.
  for (const token of [given, recall(KEY)]) {
    if (!token) continue;
    open = new Connection(token);
    try {
      await open.open();
    } catch {
      continue;
    }
    remember(KEY, open.token);
    return;
  }
  throw new Disconnected();
}

/**
 * Keep a choice of this browser. A frame in a notebook may not be allowed to keep any.
 *
 * @param {string} key
 * @param {string} value
 */
export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Then it holds as long as the page.
  }
}

/** Return a choice that was kept. @param {string} key @returns {string | null} */
export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
