// The bytes of one piece of a text, and the symbols that merges make of them.
//
// Symbols are a linked list over the bytes. The merges that are possible wait in a heap, the earliest first and of equal
// ones the leftmost, so that a piece of n bytes takes n log n steps. Buffers are kept from piece to piece.

import { NONE } from "./pairs.js";

const PLACES = 2 ** 29; // more than the UTF-16 units of the longest string; 24 bits of rank fit beside them

export class Symbols {
  /** @param {{lefts: Int32Array, rights: Int32Array, made: Int32Array, ranks: import("./pairs.js").Pairs}} merges */
  constructor(merges) {
    this.merges = merges;
    this.waiting = new Heap();
    this.clear();
    this.reserve(64);
  }

  clear() {
    this.size = 0;
  }

  /** Room for so many bytes. */
  reserve(count) {
    const longer = (array) => {
      const copy = new Int32Array(count);
      copy.set(array);
      return copy;
    };
    this.symbols = longer(this.symbols ?? []);
    this.sources = longer(this.sources ?? []);
    this.before = longer(this.before ?? []);
    this.after = longer(this.after ?? []);
  }

  /** Add the UTF-8 bytes of a code point that stands at `source` in the text. */
  push(point, source) {
    if (this.size + 4 > this.symbols.length) this.reserve(2 * this.symbols.length);
    if (point < 0x80) this.byte(point, source);
    else utf8Bytes(point, (byte) => this.byte(byte, source));
  }

  byte(value, source) {
    this.symbols[this.size] = value;
    this.sources[this.size++] = source;
  }

  /** Apply all merges. */
  merge() {
    for (let place = 0; place < this.size; place++) {
      this.before[place] = place - 1;
      this.after[place] = place + 1;
    }
    for (let place = 0; place < this.size; place++) this.offer(place);
    while (this.waiting.items.length > 0) {
      const next = this.waiting.pop();
      this.apply(Math.floor(next / PLACES), next % PLACES);
    }
  }

  /** Put the pair that begins at a place on the heap, if there is a merge for it. */
  offer(place) {
    if (place < 0 || this.after[place] >= this.size) return;
    const rank = this.merges.ranks.get(this.symbols[place], this.symbols[this.after[place]]);
    if (rank !== NONE) this.waiting.push(rank * PLACES + place);
  }

  /** Merge the pair at a place, unless one of both was merged since. */
  apply(rank, place) {
    const { symbols, before, after, merges } = this;
    const other = after[place];
    if (other >= this.size || symbols[place] !== merges.lefts[rank] || symbols[other] !== merges.rights[rank]) return;
    symbols[place] = merges.made[rank];
    symbols[other] = NONE;
    after[place] = after[other];
    if (after[place] < this.size) before[after[place]] = place;
    this.offer(before[place]);
    this.offer(place);
  }

  /** Hand over each symbol with where its first and its last byte came from. */
  each(use) {
    for (let place = 0; place < this.size; place = this.after[place]) {
      use(this.symbols[place], this.sources[place], this.sources[this.after[place] - 1]);
    }
  }
}

/** Hand over the UTF-8 bytes of a code point. */
export function utf8Bytes(point, use) {
  if (point < 0x80) {
    use(point);
    return;
  }
  const more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  use(((0xf00 >> (more + 1)) & 0xff) | (point >> (6 * more)));
  for (let i = more - 1; i >= 0; i--) use(0x80 | ((point >> (6 * i)) & 0x3f));
}

/** A binary heap of numbers, the smallest on top. */
class Heap {
  constructor() {
    this.items = [];
  }

  push(item) {
    const { items } = this;
    let at = items.push(item) - 1;
    for (let parent; at > 0 && items[(parent = (at - 1) >> 1)] > item; at = parent) items[at] = items[parent];
    items[at] = item;
  }

  pop() {
    const { items } = this;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0) return top;
    let at = 0;
    for (let child; (child = 2 * at + 1) < items.length; at = child) {
      if (child + 1 < items.length && items[child + 1] < items[child]) child++;
      if (items[child] >= last) break;
      items[at] = items[child];
    }
    items[at] = last;
    return top;
  }
}
