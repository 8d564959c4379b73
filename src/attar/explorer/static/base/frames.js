/** Frames of the server: a JSON header and the arrays that it names. */

/**
 * @typedef {Uint8Array | Int32Array | Uint32Array | Float32Array | Float64Array} Values
 * @typedef {{data: Values, shape: number[]}} Table  an array and its shape
 */

const KINDS = /** @type {const} */ ({
  uint8: Uint8Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
});

/**
 * Read a frame; its arrays are views of the buffer.
 *
 * @param {ArrayBuffer} buffer
 * @returns {{header: any, arrays: Record<string, Table>}}
 */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  /** @type {Record<string, Table>} */
  const arrays = {};
  for (const each of header.arrays) {
    const kind = KINDS[/** @type {keyof typeof KINDS} */ (each.dtype)];
    const count = each.shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    arrays[each.name] = { data: new kind(buffer, 4 + length + each.offset, count), shape: each.shape };
  }
  return { header, arrays };
}
