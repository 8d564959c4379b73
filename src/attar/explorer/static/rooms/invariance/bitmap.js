/** A drawing of one's own: pixels that are on or off, and the text that says them. */

/** @typedef {{row: number, column: number}} Cell */

export class Bitmap {
  #size;
  #pixels;

  /** @param {number} size pixels a side */
  constructor(size) {
    this.#size = size;
    this.#pixels = new Uint8Array(size * size);
  }

  get empty() {
    return !this.#pixels.includes(1);
  }

  /** @param {number} row @param {number} column */
  #inside(row, column) {
    return row >= 0 && column >= 0 && row < this.#size && column < this.#size;
  }

  /** Whether a pixel is on; outside none is. @param {number} row @param {number} column */
  at(row, column) {
    return this.#inside(row, column) && this.#pixels[row * this.#size + column] === 1;
  }

  /** Switch a pixel; outside there is none. @param {number} row @param {number} column @param {boolean} on */
  set(row, column, on) {
    if (this.#inside(row, column)) this.#pixels[row * this.#size + column] = Number(on);
  }

  copy() {
    return this.resized(this.#size);
  }

  /** The same around the middle of another size. @param {number} size */
  resized(size) {
    const other = new Bitmap(size);
    const margin = Math.trunc((size - this.#size) / 2);
    this.#each((row, column) => other.set(row + margin, column + margin, true));
    return other;
  }

  /** @param {(row: number, column: number) => void} what for each pixel that is on */
  #each(what) {
    this.#pixels.forEach((on, i) => on && what(Math.floor(i / this.#size), i % this.#size));
  }

  /** The smallest part that holds all of it; null where it is empty. */
  #part() {
    /** @type {number[]} */
    const rows = [];
    /** @type {number[]} */
    const columns = [];
    this.#each((row, column) => {
      rows.push(row);
      columns.push(column);
    });
    if (!rows.length) return null;
    const [top, left] = [Math.min(...rows), Math.min(...columns)];
    return { top, left, height: Math.max(...rows) - top + 1, width: Math.max(...columns) - left + 1 };
  }

  /** Its text, as short as its part: ``top,left,height,width,bits`` with bits in base64url; none where it is empty. */
  encode() {
    const part = this.#part();
    if (!part) return "";
    const { top, left, height, width } = part;
    const bytes = new Uint8Array(Math.ceil((height * width) / 8));
    this.#each((row, column) => {
      const bit = (row - top) * width + column - left;
      bytes[bit >> 3] = Number(bytes[bit >> 3]) | (128 >> (bit & 7));
    });
    const letters = btoa(String.fromCharCode(...bytes));
    return [top, left, height, width, letters.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")].join(",");
  }

  /** Read a text; what is none gives an empty drawing. @param {string} text @param {number} size */
  static decode(text, size) {
    const bitmap = new Bitmap(size);
    const [top = NaN, left = NaN, height = NaN, width = NaN] = text.split(",").map(Number);
    const letters = text.split(",")[4] ?? "";
    const whole = [top, left, height, width].every(Number.isInteger);
    if (!whole || Math.min(top, left) < 0 || top + height > size || left + width > size) return bitmap;
    let bytes = "";
    try {
      bytes = atob(letters.replaceAll("-", "+").replaceAll("_", "/"));
    } catch {
      return bitmap; // an address that somebody changed
    }
    for (let bit = 0; bit < height * width; bit++) {
      const on = (bytes.charCodeAt(bit >> 3) & (128 >> (bit & 7))) !== 0;
      if (on) bitmap.set(top + Math.floor(bit / width), left + (bit % width), true);
    }
    return bitmap;
  }
}

/**
 * The cells of a line from one cell to another, both ends among them.
 *
 * @param {Cell} from
 * @param {Cell} to
 * @returns {Cell[]}
 */
export function line(from, to) {
  const steps = Math.max(Math.abs(to.row - from.row), Math.abs(to.column - from.column));
  return Array.from({ length: steps + 1 }, (_, i) => ({
    row: Math.round(from.row + ((to.row - from.row) * i) / Math.max(steps, 1)),
    column: Math.round(from.column + ((to.column - from.column) * i) / Math.max(steps, 1)),
  }));
}
