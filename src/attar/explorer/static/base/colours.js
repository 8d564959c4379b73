/** Colour tables: which colour a level has. */

/** @typedef {"active" | "signed"} Kind */

/** @type {Record<string, Uint32Array<ArrayBuffer>>} */
const tables = {};
/** @type {Record<Kind, string[]>} */
const names = { active: [], signed: [] };
/** @type {Record<Kind, string>} */
const chosen = { active: "", signed: "" };

/** Fetch the tables; before that nothing can be drawn. */
export async function load() {
  const found = await (await fetch("/colours.json")).json();
  for (const [name, colours] of Object.entries(found.tables)) {
    tables[name] = Uint32Array.from(colours, (rgb) => pixel(rgb >> 16, (rgb >> 8) & 255, rgb & 255));
  }
  for (const kind of /** @type {const} */ (["active", "signed"])) {
    names[kind] = found[kind];
    chosen[kind] = found[kind][0];
  }
}

/** A pixel as canvases hold it on little-endian machines. @param {number} r @param {number} g @param {number} b */
function pixel(r, g, b) {
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** The names of the tables for a kind of map. @param {Kind} kind */
export function choices(kind) {
  return names[kind];
}

/** The table in use for a kind of map. @param {Kind} kind @returns {string} */
export function current(kind) {
  return chosen[kind];
}

/** Use another table. @param {Kind} kind @param {string} name */
export function choose(kind, name) {
  if (names[kind].includes(name)) chosen[kind] = name;
}

/**
 * Colour levels: 256 colours for maps; images as they are, gray or (H, W, 3).
 *
 * @param {import("./frames.js").Table} map
 * @param {Kind | "image"} scale
 * @returns {ImageData}
 */
export function coloured(map, scale) {
  const [height = 0, width = 0, channels = 1] = map.shape;
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const levels = map.data;
  if (scale !== "image") {
    const table = /** @type {Uint32Array} */ (tables[chosen[scale]]);
    for (let i = 0; i < pixels.length; i++) pixels[i] = /** @type {number} */ (table[/** @type {number} */ (levels[i])]);
  } else if (channels === 1) {
    for (let i = 0; i < pixels.length; i++) pixels[i] = 0xff000000 | (/** @type {number} */ (levels[i]) * 0x010101);
  } else {
    for (let i = 0, j = 0; i < pixels.length; i++, j += 3) {
      pixels[i] = pixel(Number(levels[j]), Number(levels[j + 1]), Number(levels[j + 2]));
    }
  }
  return image;
}

/**
 * The colour of one level as CSS has it, and black or white, whichever is read better on it.
 *
 * @param {Kind | "image"} scale
 * @param {number} level
 * @returns {{colour: string, ink: string}}
 */
export function swatch(scale, level) {
  const packed = scale === "image" ? level * 0x010101 : /** @type {number} */ (tables[chosen[scale]]?.[level]);
  const rgb = [packed & 255, (packed >> 8) & 255, (packed >> 16) & 255];
  const [red = 0, green = 0, blue = 0] = rgb.map((part) => (part / 255) ** 2.2);
  // Of this luminance, black and white have the same contrast.
  const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179;
  return { colour: `rgb(${rgb.join(" ")})`, ink: light ? "#000" : "#fff" };
}

/**
 * Draw the colours of a kind of map as a strip, from its least level to its greatest.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Kind} kind
 */
export function drawScale(canvas, kind) {
  const first = kind === "signed" ? 1 : 0;
  canvas.width = 256 - first;
  canvas.height = 1;
  const data = Uint8Array.from({ length: 256 - first }, (_, i) => i + first);
  canvas.getContext("2d")?.putImageData(coloured({ data, shape: [1, data.length] }, kind), 0, 0);
}
