// Unicode's normal forms as a step: code points decompose, marks are sorted by rank, and for NFC and NFKC composed again.

import { compose, eachJamo, eachJoining, isSyllable } from "./hangul.js";
import { Changes } from "./letters.js";
import { NONE } from "./pairs.js";
import { PointTable } from "./tables.js";

export class Decompose {
  /**
   * @param {import("./tables.js").Folds} folds
   * @param {import("./tables.js").Ranks} ranks
   * @param {{seconds: Int32Array, points: import("./pairs.js").Pairs} | null} compositions of pairs
   */
  constructor(folds, ranks, compositions) {
    this.folds = folds;
    this.ranks = ranks;
    this.compositions = compositions?.points ?? null;
    this.changes = new Changes();
    this.growth = Math.max(1, folds.longest);
    this.loud = this.findLoud(compositions?.seconds ?? []);
  }

  /** Code points that may change, or change others: a text without one stays as it is. */
  findLoud(seconds) {
    const { folds, ranks } = this;
    const loud = new PointTable(Uint8Array);
    for (const mark of ranks.marks) loud.set(mark, 1);
    for (const point of seconds) loud.set(point, 1);
    eachJoining((jamo) => loud.set(jamo, 1));
    const found = folds.sources.filter((point, i) => {
      const begins = folds.length(i) > 0 && loud.get(folds.targets[folds.starts[i]]) === 0;
      return !begins || !this.isStable(point);
    });
    for (const point of found) loud.set(point, 1);
    return loud;
  }

  /** Whether a code point alone becomes itself. */
  isStable(point) {
    const { changes } = this;
    if (this.compositions === null) return false;
    this.decompose([point], 1);
    this.compose();
    return changes.size === 1 && changes.points[0] === point && changes.changes[0] === 0;
  }

  /** Write the letters that this makes of others; false where it makes none. */
  apply(from, to, start) {
    if (this.isIdle(from)) return false;
    this.decompose(from.points, from.size);
    if (this.compositions !== null) this.compose();
    to.become(from, this.changes, start);
    return true;
  }

  isIdle({ points, size }) {
    for (let i = 0; i < size; i++) {
      if (this.loud.get(points[i]) !== 0 || (this.compositions === null && isSyllable(points[i]))) return false;
    }
    return true;
  }

  /** Each code point's parts, runs of marks sorted by rank. */
  decompose(points, size) {
    const { changes, folds } = this;
    changes.size = 0;
    this.run = 0; // where a run of marks begins
    this.sorted = true;
    for (let i = 0; i < size; i++) {
      const place = folds.find(points[i]);
      let change = 0;
      if (isSyllable(points[i])) {
        eachJamo(points[i], (jamo) => {
          this.part(jamo, change);
          change = 1;
        });
      } else if (place < 0) {
        this.part(points[i], 0);
      } else {
        for (let at = folds.starts[place]; at < folds.starts[place + 1]; at++, change = 1)
          this.part(folds.targets[at], change);
      }
    }
    this.endRun();
  }

  part(point, change) {
    const { changes } = this;
    const rank = this.ranks.get(point);
    if (rank === 0) this.endRun();
    else if (changes.size > this.run && this.ranks.get(changes.points[changes.size - 1]) > rank) this.sorted = false;
    changes.push(point, change);
    if (rank === 0) this.run = changes.size;
  }

  /** Sort the run, equal ranks as they came. */
  endRun() {
    if (this.sorted) return;
    const { points, changes, size } = this.changes;
    const order = Array.from({ length: size - this.run }, (_, i) => this.run + i);
    order.sort((a, b) => this.ranks.get(points[a]) - this.ranks.get(points[b]));
    const sorted = order.map((place) => [points[place], changes[place]]);
    sorted.forEach(([point, change], i) => {
      points[this.run + i] = point;
      changes[this.run + i] = change;
    });
    this.sorted = true;
  }

  /** Canonical composition: a starter takes up what follows, over marks of a lower rank than its own. */
  compose() {
    const { points, changes, size } = this.changes;
    let starter = -1;
    let last = 0; // the rank of the last mark behind the starter
    let kept = 0;
    for (let i = 0; i < size; i++) {
      const [point, change] = [points[i], changes[i]];
      const rank = this.ranks.get(point);
      const isFree = starter >= 0 && (last === 0 || last < rank);
      const joined = isFree ? this.composition(points[starter], point) : NONE;
      if (joined !== NONE) {
        points[starter] = joined;
        changes[starter] += change - 1;
        continue;
      }
      if (rank === 0) starter = kept;
      last = rank;
      points[kept] = point;
      changes[kept++] = change;
    }
    this.changes.size = kept;
  }

  /** What a pair is composed to; −1 where it is not. */
  composition(first, second) {
    const syllable = compose(first, second);
    return syllable === NONE ? this.compositions.get(first, second) : syllable;
  }
}
