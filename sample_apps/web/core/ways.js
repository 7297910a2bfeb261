// The most likely split of letters into pieces, found as Viterbi did: the best way to each place, its score a sum in 64
// bits from the left. Of equal sums the one found first stays, which begins earlier, so that every platform splits alike.

import { NONE } from "./pairs.js";
import { ROOT } from "./trie.js";

export class Ways {
  /** @param {{trie: import("./trie.js").Trie, scores: Float32Array | Float64Array}} data */
  constructor(data) {
    this.data = data;
    this.reserve(64);
  }

  reserve(count) {
    this.sums = new Float64Array(count); // of the best way to each place
    this.ids = new Int32Array(count); // its last piece, −1 where there is no way
    this.from = new Int32Array(count); // where that begins
    this.next = new Int32Array(count); // on the best way of all: where each piece ends
  }

  /**
   * Split code points. The pieces are then a chain: one begins at place 0 and ends at `next[0]`, where the next one
   * begins; `ids` at its end has its id.
   */
  find(points, first, last) {
    const length = last - first;
    if (length >= this.ids.length) this.reserve(2 * length + 1);
    this.ids.fill(NONE, 0, length + 1);
    this.sums[0] = 0;
    for (let start = 0; start < length; start++) this.begin(points, first, start, last);
    for (let at = length; at > 0; at = this.from[at]) this.next[this.from[at]] = at;
  }

  /** Offer the pieces that begin at a place, the shortest first. */
  begin(points, first, start, last) {
    const { trie, scores, unknownId, unknownScore } = this.data;
    const sum = this.sums[start];
    let isKnown = false;
    let node = ROOT;
    for (let at = first + start; at < last; at++) {
      node = trie.child(node, points[at]);
      if (node === NONE) break;
      const id = trie.ids[node];
      if (id === NONE) continue;
      isKnown ||= at === first + start;
      this.offer(start, at + 1 - first, scores[id] + sum, id);
    }
    if (!isKnown) this.offer(start, start + 1, unknownScore + sum, unknownId);
  }

  offer(start, end, sum, id) {
    if (this.ids[end] !== NONE && !(sum > this.sums[end])) return;
    this.sums[end] = sum;
    this.ids[end] = id;
    this.from[end] = start;
  }
}
