// The vocabulary as a tree of code points, so that the longest token at a place is found in one walk.
//
// Edges stand in one table (pairs.js), (node, code point) → node: flat arrays, no object, no string.
// The vocabulary arrives front-coded: how many bytes a token shares with the one before it, and its other bytes. Nodes
// along the token before are remembered by byte, so shared bytes are not walked again and no token becomes a string.

import { BundleError } from "./errors.js";
import { NONE, Pairs } from "./pairs.js";

export const ROOT = 0;

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
    let node = ROOT;
    for (const char of text) {
      node = this.child(node, char.codePointAt(0));
      if (node === NONE) break;
    }
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
  const trie = new Trie(suffixes.length);
  let bytes = new Uint8Array(256);
  let nodes = new Int32Array(257); // nodes[b]: where the token's first b bytes lead, at the ends of code points
  let length = 0;
  let taken = 0;
  for (let id = 0; id < size; id++) {
    const shared = lengths.byte();
    const own = lengths.number();
    if (shared > length || taken + own > suffixes.length)
      throw new BundleError("tokenizer.bin: its vocabulary is damaged");
    if (shared + own > bytes.length) [bytes, nodes] = [longer(bytes, shared + own), longer(nodes, shared + own + 1)];
    bytes.set(suffixes.subarray(taken, taken + own), shared);
    taken += own;
    length = shared + own;
    let at = shared;
    while (at > 0 && (bytes[at] & 0xc0) === 0x80 && at < length) at--; // the shared bytes may end inside a code point
    while (at < length) {
      const width = byteCount(bytes[at]);
      nodes[at + width] = trie.grow(nodes[at], pointOf(bytes, at, width));
      at += width;
    }
    if (length > 0) trie.ids[nodes[length]] = id; // an empty token is an id without one
  }
  return trie;
}

function longer(array, length) {
  const copy = new array.constructor(2 * length);
  copy.set(array);
  return copy;
}

function byteCount(lead) {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

function pointOf(bytes, at, width) {
  if (width === 1) return bytes[at];
  let point = bytes[at] & (0x7f >> width);
  for (let i = 1; i < width; i++) point = (point << 6) | (bytes[at + i] & 0x3f);
  return point;
}
