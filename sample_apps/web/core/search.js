// Texts in the order that they suit a query, by their vectors; the vectors of a list are computed once and kept.

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

/** The texts of a field, one on a line, each once, without the spaces around them. */
export function readTexts(lines) {
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
 * Vectors by text, under the name of the model that made them: another model makes its own.
 *
 * The file: SHA-256 of the rest, u32 length of a JSON list of the texts, that list, their vectors as f32, little-endian.
 * One that is cut or altered counts as none.
 */
export class KeptVectors {
  /**
   * @param {import("./store.js").CacheStore} store
   * @param {string} name
   * @param {number} size numbers of a vector
   */
  constructor(store, name, size) {
    Object.assign(this, { store, name, size, vectors: null, last: Promise.resolve() });
  }

  /** The texts that are kept, in order; none at first. */
  async texts() {
    this.vectors ??= await unpack(await this.store.read(this.name), this.size);
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
    for (const text of texts) vectors.set(text, this.vectors.get(text) ?? (await embed(text)));
    const same = kept.length === texts.length && kept.every((text, i) => text === texts[i]);
    this.vectors = vectors;
    if (!same) await this.store.write(this.name, await pack(vectors, this.size));
    return [...vectors.values()];
  }
}

const HASH = 32;

async function pack(vectors, size) {
  const texts = new TextEncoder().encode(JSON.stringify([...vectors.keys()]));
  const body = new Uint8Array(4 + texts.length + 4 * size * vectors.size);
  const view = new DataView(body.buffer);
  view.setUint32(0, texts.length, true);
  body.set(texts, 4);
  let at = 4 + texts.length;
  for (const vector of vectors.values()) for (const value of vector) view.setFloat32((at += 4) - 4, value, true);
  const packed = new Uint8Array(HASH + body.length);
  packed.set(await sha256(body));
  packed.set(body, HASH);
  return packed;
}

async function unpack(bytes, size) {
  const vectors = new Map();
  if (bytes === null || bytes.length < HASH + 4) return vectors;
  const body = bytes.slice(HASH);
  const hash = await sha256(body);
  if (!hash.every((value, i) => value === bytes[i])) return vectors;
  const view = new DataView(body.buffer);
  const start = 4 + view.getUint32(0, true);
  const texts = parse(new TextDecoder().decode(body.subarray(4, start)));
  if (body.length !== start + 4 * size * texts.length) return vectors;
  texts.forEach((text, row) => {
    const numbers = Float32Array.from({ length: size }, (_, i) => view.getFloat32(start + 4 * (row * size + i), true));
    vectors.set(text, numbers);
  });
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
