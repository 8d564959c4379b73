/** What all rooms share while the page is open. */

import { Connection } from "./connection.js";

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
  if (given) {
    remember(KEY, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  open = new Connection(given ?? recall(KEY) ?? "");
  await open.open();
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
