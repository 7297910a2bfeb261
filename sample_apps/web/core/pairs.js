// A table from pairs of numbers to numbers: open addressing in three flat arrays, no object, no string.

export const NONE = -1;

export class Pairs {
  /** @param {number} count at most this many will be added */
  constructor(count) {
    let capacity = 16;
    while (capacity < 2 * count) capacity *= 2;
    this.mask = capacity - 1;
    this.firsts = new Int32Array(capacity).fill(NONE);
    this.seconds = new Int32Array(capacity);
    this.values = new Int32Array(capacity);
  }

  /** Where the pair is, or the free place where it would be. */
  slot(first, second) {
    let hash = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
    hash ^= hash >>> 15;
    let at = hash & this.mask;
    while (this.firsts[at] !== NONE && (this.firsts[at] !== first || this.seconds[at] !== second)) {
      at = (at + 1) & this.mask;
    }
    return at;
  }

  /** The value of a pair; −1 where it has none. */
  get(first, second) {
    const at = this.slot(first, second);
    return this.firsts[at] === NONE ? NONE : this.values[at];
  }

  /** Give a pair its value; false where it has one. */
  add(first, second, value) {
    const at = this.slot(first, second);
    if (this.firsts[at] !== NONE) return false;
    this.firsts[at] = first;
    this.seconds[at] = second;
    this.values[at] = value;
    return true;
  }
}
