// SentencePiece's character map as a step: a small grapheme cluster becomes the value of the shortest key that it begins
// with; of any other each code point becomes its own value.

import { CLUSTER_BITS, clusterEnd } from "./clusters.js";
import { Changes } from "./letters.js";
import { NONE } from "./pairs.js";
import { check } from "./stream.js";
import { Lists, PointTable, readFolds, readPoints } from "./tables.js";
import { ROOT, Trie } from "./trie.js";

const SMALL = 6; // bytes that a cluster must be below to be looked up whole
const SINGLE = 2048; // bits beside those of clusters: a key alone, the first of a longer key, the second
const FIRST = 4096;
const SECOND = 8192;

export class CharacterMap {
  /** @param {import("./stream.js").Reader} reader */
  constructor(reader) {
    this.classes = new PointTable(Uint16Array);
    for (const bit of CLUSTER_BITS) {
      reader.ranges((start, end) => {
        for (let point = start; point < end; point++) this.classes.mark(point, bit);
      });
    }
    this.single = readFolds(reader);
    for (const point of this.single.sources) this.classes.mark(point, SINGLE);
    this.readLonger(reader);
    this.changes = new Changes();
    this.growth = Math.max(1, this.single.longest, this.values.longest);
  }

  /** Keys of two code points or more, as a tree, and their values. */
  readLonger(reader) {
    const [keys, values] = [[], []];
    for (let left = reader.count(); left > 0; left--) {
      const key = readPoints(reader);
      check(key.length > 1, `has a key of ${key.length} code points among the longer ones`);
      keys.push(key);
      values.push(readPoints(reader));
    }
    this.keys = new Trie(keys.reduce((sum, key) => sum + key.length, 0));
    keys.forEach((key, i) => {
      this.classes.mark(key[0], FIRST);
      this.classes.mark(key[1], SECOND);
      this.keys.ids[key.reduce((node, point) => this.keys.grow(node, point), ROOT)] = i;
    });
    const lengths = values.map((value) => value.length);
    this.values = new Lists(lengths, new Int32Array(lengths.reduce((sum, length) => sum + length, 0)));
    values.forEach((value, i) => this.values.targets.set(value, this.values.starts[i]));
  }

  /** Write the letters that this makes of others; false where it makes none. */
  apply(from, to, start) {
    if (this.isIdle(from)) return false;
    const { points, size } = from;
    this.changes.size = 0;
    for (let first = 0, end = 0; first < size; first = end) {
      end = clusterEnd(points, first, size, this.classes);
      if (end - first >= SMALL || !this.replace(points, first, end)) this.replaceEach(points, first, end);
    }
    to.become(from, this.changes, start);
    return true;
  }

  isIdle({ points, size }) {
    for (let i = 0; i < size; i++) {
      const kind = this.classes.get(points[i]);
      if ((kind & SINGLE) !== 0) return false;
      if ((kind & FIRST) !== 0 && i + 1 < size && (this.classes.get(points[i + 1]) & SECOND) !== 0) return false;
    }
    return true;
  }

  /** Replace a cluster as a whole; false where it is too large or begins with no key. */
  replace(points, first, end) {
    let bytes = 0;
    for (let at = first; at < end; at++) bytes += byteCount(points[at]);
    if (bytes >= SMALL) return false;
    const own = this.single.find(points[first]);
    if (own >= 0) {
      this.changes.put(this.single, own, end - first);
      return true;
    }
    let node = ROOT;
    for (let at = first; at < end; at++) {
      node = this.keys.child(node, points[at]);
      if (node === NONE) return false;
      const value = this.keys.ids[node];
      if (value === NONE) continue;
      this.changes.put(this.values, value, end - first);
      return true;
    }
    return false;
  }

  replaceEach(points, first, end) {
    for (let at = first; at < end; at++) {
      const own = this.single.find(points[at]);
      if (own < 0) this.changes.push(points[at], 0);
      else this.changes.put(this.single, own, 1);
    }
  }
}

function byteCount(point) {
  return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}
