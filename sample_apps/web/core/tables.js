// What code points become, and in which order marks stand: tables in flat arrays, where most code points have no entry.

import { CODE_POINTS } from "./stream.js";

const LONGEST_FOLD = 64; // code points that one becomes; Unicode's longest has 18
const LARGEST_RANK = 2 ** 31;

/** A number for each code point, 0 where none was given: pages of 256 of them, one page for all that are empty. */
export class PointTable {
  /** @param {typeof Uint8Array | typeof Uint16Array | typeof Int32Array} type that holds the numbers */
  constructor(type) {
    this.places = new Uint16Array(CODE_POINTS >> 8);
    this.values = new type(256);
    this.pages = 1;
  }

  get(point) {
    return this.values[(this.places[point >> 8] << 8) | (point & 0xff)];
  }

  set(point, value) {
    if (this.places[point >> 8] === 0) this.places[point >> 8] = this.page();
    this.values[(this.places[point >> 8] << 8) | (point & 0xff)] = value;
  }

  /** Set a bit. */
  mark(point, bit) {
    this.set(point, this.get(point) | bit);
  }

  page() {
    if (this.pages << 8 === this.values.length) {
      const longer = new this.values.constructor(2 * this.values.length);
      longer.set(this.values);
      this.values = longer;
    }
    return this.pages++;
  }
}

/** Code points, as a sorted list of where ranges of them begin and end. */
export class PointSet {
  /** @param {import("./stream.js").Reader} reader */
  constructor(reader) {
    const borders = [];
    reader.ranges((start, end) => borders.push(start, end));
    this.borders = Int32Array.from(borders);
  }

  has(point) {
    const { borders } = this;
    let [low, high] = [0, borders.length]; // how many borders are at the point or before it
    while (low < high) {
      const middle = (low + high) >> 1;
      if (borders[middle] <= point) low = middle + 1;
      else high = middle;
    }
    return low % 2 === 1;
  }
}

/** Lists of code points, one behind the other: list i is `targets` from `starts[i]` to `starts[i + 1]`. */
export class Lists {
  /**
   * @param {ArrayLike<number>} lengths
   * @param {Int32Array} targets
   */
  constructor(lengths, targets) {
    this.targets = targets;
    this.starts = new Int32Array(lengths.length + 1);
    this.longest = 0;
    for (let i = 0; i < lengths.length; i++) {
      this.starts[i + 1] = this.starts[i] + lengths[i];
      this.longest = Math.max(this.longest, lengths[i]);
    }
  }

  length(place) {
    return this.starts[place + 1] - this.starts[place];
  }
}

/** What code points become. */
export class Folds extends Lists {
  /** @param {Int32Array} sources */
  constructor(sources, lengths, targets) {
    super(lengths, targets);
    this.sources = sources;
    this.places = new PointTable(Int32Array);
    for (let i = 0; i < sources.length; i++) this.places.set(sources[i], i + 1);
  }

  /** The list of a code point; −1 where it becomes nothing else. */
  find(point) {
    return this.places.get(point) - 1;
  }
}

export function readFolds(reader) {
  const sources = reader.points(reader.count());
  const lengths = reader.numbers(sources.length, LONGEST_FOLD + 1);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  return new Folds(sources, lengths, reader.points(total, true));
}

/** The next code points behind their count: a key or a value of a few. */
export function readPoints(reader) {
  return reader.points(reader.number(LONGEST_FOLD + 1), true);
}

/** Combining marks with their ranks among those around them; 0 is that of all other code points. */
export class Ranks extends PointTable {
  /** @param {Int32Array} marks */
  constructor(marks, ranks) {
    super(Int32Array);
    this.marks = marks;
    ranks.forEach((rank, i) => this.set(marks[i], rank));
  }
}

export function readRanks(reader) {
  const marks = reader.points(reader.count());
  return new Ranks(marks, reader.numbers(marks.length, LARGEST_RANK));
}
