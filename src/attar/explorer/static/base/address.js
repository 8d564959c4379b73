/** The address of the page: the room, and everything that was chosen in it. */

/** @typedef {Record<string, string>} Fields */
/** @typedef {Record<string, string | number | boolean | null>} Changes */

/** The room that the address names; null where it names none. @returns {string | null} */
export function room() {
  return location.pathname.replace(/^\/+|\/+$/g, "") || null;
}

/** Milliseconds between two writes: browsers refuse an address that changes with every step of a slider. */
const PAUSE = 200;

/** What was written but does not stand in the address yet. @type {Changes} */
let pending = {};
let timer = 0;

/** The fields of the address. @returns {Fields} */
export function fields() {
  const all = { ...Object.fromEntries(new URLSearchParams(location.search)), ...pending };
  return Object.fromEntries(Object.entries(all).flatMap(([key, value]) => (value === null ? [] : [[key, String(value)]])));
}

/**
 * Write fields into the address, in place. What is null goes.
 *
 * @param {Changes} changes
 */
export function write(changes) {
  pending = { ...pending, ...changes };
  if (timer) return;
  flush();
  timer = setTimeout(() => {
    timer = 0;
    flush();
  }, PAUSE);
}

/** Bring the address up to date: before it is copied, or left. */
export function flush() {
  if (!Object.keys(pending).length) return;
  history.replaceState(null, "", address(room() ?? "", fields()));
  pending = {};
}

addEventListener("pagehide", flush);
addEventListener("popstate", () => {
  pending = {};
});

/**
 * The address of a room with these fields.
 *
 * @param {string} name
 * @param {Changes} chosen
 */
export function address(name, chosen) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(chosen)) if (value !== null) query.set(key, String(value));
  // These may stand in a query, and are easier to read so.
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%3B", ";");
  return `/${name}${text ? `?${text}` : ""}`;
}

/**
 * Read a whole number of the address that lies in a range.
 *
 * @param {Fields} from
 * @param {string} name
 * @param {number} usual
 * @param {number} least
 * @param {number} most
 */
export function count(from, name, usual, least, most) {
  const value = from[name] === undefined ? usual : Number(from[name]);
  return Number.isInteger(value) && value >= least && value <= most ? value : usual;
}

/**
 * Read one of several words of the address.
 *
 * @template {string} Word
 * @param {Fields} from
 * @param {string} name
 * @param {readonly Word[]} words the first is the usual one
 * @returns {Word}
 */
export function word(from, name, words) {
  return words.find((each) => each === from[name]) ?? /** @type {Word} */ (words[0]);
}
