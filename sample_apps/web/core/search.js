// Texts in the order that they suit a query, by their vectors; the vectors of a list are computed once and kept.

import { BundleError } from "./errors.js";

/** A text behind the prompt that its model was trained with, unless it stands there. */
export const behind = (prompt, text) => (text.startsWith(prompt) ? text : prompt + text);

/**
 * The cosine of two vectors; 0 where one has no length.
 * @param {Float32Array} a
 * @param {Float32Array} b
 */
export function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  const lengths = Math.sqrt(dot(a, a) * dot(b, b));
  return lengths > 0 ? dot(a, b) / lengths : 0;
}

/** What a field has, one on a line, each once, without the spaces around it. */
export function readList(lines) {
  return [...new Set(lines.split("\n").map((line) => line.trim()))].filter((line) => line !== "");
}

/**
 * The best first, equal ones as they were given.
 * @param {string[]} texts
 * @param {number[]} scores
 */
export function ranked(texts, scores) {
  return texts.map((text, i) => ({ text, score: scores[i] })).sort((a, b) => b.score - a.score);
}

/**
 * How a vector is kept: in so many bytes, packed, and what is left of it, which is its direction. `float32` has 4 bytes
 * for each number, `int8` one, as 127ths of the largest, `binary` a bit, its sign.
 */
export const FORMS = {
  float32: {
    bytes: (size) => 4 * size,
    pack: (vector, view) => vector.forEach((value, i) => view.setFloat32(4 * i, value, true)),
    unpack: (view, size) => Float32Array.from({ length: size }, (_, i) => view.getFloat32(4 * i, true)),
  },
  int8: {
    bytes: (size) => size,
    pack(vector, view) {
      const largest = Math.max(...vector.map(Math.abs)) || 1;
      vector.forEach((value, i) => view.setInt8(i, Math.round((127 * value) / largest)));
    },
    unpack: (view, size) => Float32Array.from({ length: size }, (_, i) => view.getInt8(i)),
  },
  binary: {
    bytes: (size) => Math.ceil(size / 8),
    pack: (vector, view) =>
      vector.forEach((value, i) => view.setUint8(i >> 3, view.getUint8(i >> 3) | ((value >= 0 ? 1 : 0) << (i & 7)))),
    unpack: (view, size) =>
      Float32Array.from({ length: size }, (_, i) => ((view.getUint8(i >> 3) >> (i & 7)) & 1 ? 1 : -1)),
  },
};

/**
 * Vectors by text, under the name of the model that made them: another model makes its own.
 *
 * The file: SHA-256 of the rest, u32 length of a JSON list of the texts, that list, their vectors in their form,
 * little-endian. One that is cut or altered counts as none.
 */
export class KeptVectors {
  /**
   * @param {import("./store.js").CacheStore} store
   * @param {string} name
   * @param {number} size numbers of a vector
   * @param {keyof typeof FORMS} form
   */
  constructor(store, name, size, form = "float32") {
    if (!Object.hasOwn(FORMS, form)) throw new BundleError(`Vectors are kept as ${form}; package the app again`);
    Object.assign(this, { store, name: `${name}-${form}`, size, form: FORMS[form], vectors: null, last: Promise.resolve() });
  }

  /** The texts that are kept, in order; none at first. */
  async texts() {
    this.vectors ??= await unpack(await this.store.read(this.name), this.form.bytes(this.size));
    return [...this.vectors.keys()];
  }

  /**
   * The vectors of the texts, those that are not kept by `embed`; what is then kept are these texts alone.
   * @param {string[]} texts
   * @param {(text: string) => Promise<Float32Array>} embed
   */
  of(texts, embed) {
    const found = this.last.then(() => this.#of(texts, embed)); // one call after the other: each keeps its list
    this.last = found.catch(() => {});
    return found;
  }

  async #of(texts, embed) {
    const kept = await this.texts();
    const vectors = new Map();
    for (const text of texts) vectors.set(text, this.vectors.get(text) ?? this.#packed(await embed(text)));
    const same = kept.length === texts.length && kept.every((text, i) => text === texts[i]);
    this.vectors = vectors;
    if (!same) await this.store.write(this.name, await pack(vectors));
    return [...vectors.values()].map((bytes) => this.form.unpack(viewOf(bytes), this.size));
  }

  #packed(vector) {
    const bytes = new Uint8Array(this.form.bytes(this.size));
    this.form.pack(vector, viewOf(bytes));
    return bytes;
  }
}

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const HASH = 32;

async function pack(vectors) {
  const texts = new TextEncoder().encode(JSON.stringify([...vectors.keys()]));
  const length = new Uint8Array(4);
  viewOf(length).setUint32(0, texts.length, true);
  const body = new Uint8Array(await new Blob([length, texts, ...vectors.values()]).arrayBuffer());
  const packed = new Uint8Array(HASH + body.length);
  packed.set(await sha256(body));
  packed.set(body, HASH);
  return packed;
}

/** Vectors of so many bytes each, by text. */
async function unpack(bytes, each) {
  const vectors = new Map();
  if (bytes === null || bytes.length < HASH + 4) return vectors;
  const body = bytes.slice(HASH);
  const hash = await sha256(body);
  if (!hash.every((value, i) => value === bytes[i])) return vectors;
  const start = 4 + viewOf(body).getUint32(0, true);
  const texts = parse(new TextDecoder().decode(body.subarray(4, start)));
  if (body.length !== start + each * texts.length) return vectors;
  texts.forEach((text, row) => vectors.set(text, body.slice(start + each * row, start + each * (row + 1))));
  return vectors;
}

/** A list of texts; an empty one where it is none. */
function parse(json) {
  try {
    const texts = JSON.parse(json);
    return Array.isArray(texts) && texts.every((text) => typeof text === "string") ? texts : [];
  } catch {
    return [];
  }
}

async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
