// The vocabulary as a tree of code points, so that the longest token at a place is found in one walk.
//
// Edges stand in one table (pairs.js), (node, code point) → node: flat arrays, no object, no string.
// The vocabulary arrives front-coded: how many bytes a token shares with the one before it, and its other bytes. Nodes
// along the token before are remembered by byte, so shared bytes are not walked again and no token becomes a string.

import { NONE, Pairs } from "./pairs.js";
import { CODE_POINTS, check } from "./stream.js";

export const ROOT = 0;
const LARGEST_VOCABULARY = 2 ** 26; // bytes of all tokens; each may repeat 255 of the one before
const LOWEST = [0, 0, 0x80, 0x800, 0x10000]; // code points of so many bytes

export class Trie {
  /** @param {number} edges at most this many will be added */
  constructor(edges) {
    this.edges = new Pairs(edges);
    this.ids = new Int32Array(edges + 1).fill(NONE);
    this.nodes = 1;
  }

  /** The node that `point` leads to from `node`; −1 where there is none. */
  child(node, point) {
    return this.edges.get(node, point);
  }

  /** The same, made where there is none. */
  grow(node, point) {
    return this.edges.add(node, point, this.nodes) ? this.nodes++ : this.edges.get(node, point);
  }

  /** The node that a string leads to; −1 where no token starts with it. */
  find(text) {
    const points = Array.from(text, (letter) => letter.codePointAt(0));
    return this.walk(points, 0, points.length);
  }

  /** The node that code points lead to. */
  walk(points, first, last) {
    let node = ROOT;
    for (let at = first; at < last && node !== NONE; at++) node = this.child(node, points[at]);
    return node;
  }
}

/**
 * The tree of a front-coded vocabulary; a token's place is its id.
 * @param {import("./stream.js").Reader} lengths for each id: shared bytes (u8), own bytes (varint)
 * @param {Uint8Array} suffixes the own bytes, joined
 * @param {number} size number of ids
 */
export function readVocabulary(lengths, suffixes, size) {
  const damaged = "has a damaged vocabulary";
  const trie = new Trie(edgeCount(suffixes) + lengths.checked(size));
  let bytes = new Uint8Array(256);
  let nodes = new Int32Array(257); // nodes[b]: where the token's first b bytes lead; −1 inside of a code point
  let [length, taken, total] = [0, 0, 0];
  for (let id = 0; id < size; id++) {
    const shared = lengths.byte();
    const own = lengths.number();
    check(shared <= length && taken + own <= suffixes.length, damaged);
    if (shared + own > bytes.length) [bytes, nodes] = [longer(bytes, shared + own), longer(nodes, shared + own + 1)];
    bytes.set(suffixes.subarray(taken, taken + own), shared);
    taken += own;
    length = shared + own;
    total += length;
    check(total <= LARGEST_VOCABULARY, damaged);
    let at = shared;
    while (nodes[at] === NONE) at--;
    while (at < length) {
      const width = byteCount(bytes[at]);
      const point = at + width <= length ? pointOf(bytes, at, width) : NONE;
      check(point !== NONE, damaged);
      for (let inner = at + 1; inner < at + width; inner++) nodes[inner] = NONE;
      nodes[at + width] = trie.grow(nodes[at], point);
      at += width;
    }
    if (length > 0) trie.ids[nodes[length]] = id; // an empty token is an id without one
  }
  return trie;
}

/** At most so many code points, but for those that begin in a shared part. */
function edgeCount(suffixes) {
  let count = 0;
  for (let at = 0; at < suffixes.length; at++) if ((suffixes[at] & 0xc0) !== 0x80) count++;
  return count;
}

function longer(array, length) {
  const copy = new array.constructor(2 * length);
  copy.set(array);
  return copy;
}

function byteCount(lead) {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** The code point of so many bytes of UTF-8; −1 where they are none. */
function pointOf(bytes, at, width) {
  const lead = bytes[at];
  if (width === 1) return lead;
  if (lead < 0xc2 || lead > 0xf4) return NONE;
  let point = lead & (0x7f >> width);
  for (let i = 1; i < width; i++) {
    if ((bytes[at + i] & 0xc0) !== 0x80) return NONE;
    point = (point << 6) | (bytes[at + i] & 0x3f);
  }
  const isSurrogate = point >= 0xd800 && point < 0xe000;
  return point < LOWEST[width] || point >= CODE_POINTS || isSurrogate ? NONE : point;
}
