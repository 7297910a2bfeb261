// The steps of a normalizer, out of the last stream of version 2. Each reads letters and writes others, or leaves them.

import { CharacterMap } from "./charmap.js";
import { Decompose } from "./decompose.js";
import { Changes } from "./letters.js";
import { Pairs } from "./pairs.js";
import { check } from "./stream.js";
import { PointSet, readFolds, readRanks } from "./tables.js";

const MOST_STEPS = 100;
const MOST_GROWTH = 1_000; // code points that all steps may make of one
const LEFT = 1;
const RIGHT = 2;

/** Each code point becomes others, or none; one that becomes nothing is counted to the last one that stays. */
class PointMap {
  constructor(reader) {
    this.folds = readFolds(reader);
    this.changes = new Changes();
    this.growth = Math.max(1, this.folds.longest);
  }

  apply(from, to, start) {
    if (this.applyInPlace(from)) return false;
    const { changes, folds } = this;
    changes.size = 0;
    let skipped = 0;
    for (let i = 0; i < from.size; i++) {
      const place = folds.find(from.points[i]);
      if (place < 0) changes.push(from.points[i], 0);
      else changes.put(folds, place, 1);
      if (changes.size === 0) skipped++;
    }
    to.become(from, changes, start, skipped);
    return true;
  }

  /** Most often each becomes one other, and no offset moves; false, and nothing done, where that is not so. */
  applyInPlace({ points, size }) {
    const { folds } = this;
    for (let i = 0; i < size; i++) {
      const place = folds.find(points[i]);
      if (place >= 0 && folds.length(place) !== 1) return false;
    }
    for (let i = 0; i < size; i++) {
      const place = folds.find(points[i]);
      if (place >= 0) points[i] = folds.targets[folds.starts[place]];
    }
    return true;
  }
}

/** One string for what `matchEnd` finds; what is put in has the offsets of the last letter that goes. */
class Replacing {
  setContent(text) {
    this.content = pointsOf(text);
    this.growth = Math.max(1, this.content.length);
  }

  apply(from, to) {
    let done = -1; // up to where letters are written; −1: nothing was found
    for (let at = 0; at < from.size;) {
      const end = this.matchEnd(from, at);
      if (end === at) {
        at++;
        continue;
      }
      if (done < 0) done = to.size = 0;
      to.append(from, done, at);
      for (const point of this.content) to.push(point, from.starts[end - 1], from.ends[end - 1]);
      done = at = end;
    }
    if (done >= 0) to.append(from, done, from.size);
    return done >= 0;
  }
}

class Replace extends Replacing {
  constructor(reader) {
    super();
    this.found = pointsOf(reader.string());
    check(this.found.length > 0, "has an empty string to replace");
    this.setContent(reader.string());
  }

  matchEnd({ points, size }, at) {
    const { found } = this;
    if (points[at] !== found[0] || at + found.length > size) return at;
    for (let i = 1; i < found.length; i++) if (points[at + i] !== found[i]) return at;
    return at + found.length;
  }
}

/** Runs of at least so many of some code points, and each of others elsewhere. */
class ReplaceRuns extends Replacing {
  constructor(reader) {
    super();
    this.points = new PointSet(reader);
    this.least = reader.number();
    check(this.least > 0, "has runs of no length to replace");
    this.single = new PointSet(reader);
    this.setContent(reader.string());
    this.runEnd = 0;
  }

  matchEnd({ points, size }, at) {
    if (at === 0) this.runEnd = 0;
    if (at >= this.runEnd) {
      let end = at;
      while (end < size && this.points.has(points[end])) end++;
      this.runEnd = end; // a run that is too short is not looked at again
      if (end - at >= this.least) return end;
    }
    return this.single.has(points[at]) ? at + 1 : at;
  }
}

/** Spaces at either end go. */
class Strip {
  constructor(reader) {
    const flags = reader.number(4);
    this.left = (flags & LEFT) !== 0;
    this.right = (flags & RIGHT) !== 0;
    this.spaces = new PointSet(reader);
    this.growth = 1;
  }

  apply(letters) {
    let [first, end] = [0, letters.size];
    while (this.left && first < end && this.spaces.has(letters.points[first])) first++;
    while (this.right && end > first && this.spaces.has(letters.points[end - 1])) end--;
    letters.keep(first, end);
    return false;
  }
}

function readDecompose(reader) {
  const composes = reader.number(2) === 1;
  const [folds, ranks] = [readFolds(reader), readRanks(reader)];
  if (!composes) return new Decompose(folds, ranks, null);
  const points = reader.points(reader.count());
  const [firsts, seconds] = [reader.points(points.length, true), reader.points(points.length, true)];
  const pairs = new Pairs(points.length);
  for (let i = points.length - 1; i >= 0; i--) pairs.add(firsts[i], seconds[i], points[i]); // the last one counts
  return new Decompose(folds, ranks, { seconds, points: pairs });
}

const KINDS = [
  undefined,
  readDecompose,
  (reader) => new PointMap(reader),
  (reader) => new CharacterMap(reader),
  (reader) => new Replace(reader),
  (reader) => new ReplaceRuns(reader),
  (reader) => new Strip(reader),
];

/** The steps in a stream; none where there is no stream. */
export function readSteps(reader) {
  if (reader === undefined) return [];
  const steps = Array.from({ length: reader.number(MOST_STEPS + 1) }, () => {
    const kind = reader.number();
    check(KINDS[kind] !== undefined, `has a step of kind ${kind} in its normalizer`);
    return KINDS[kind](reader);
  });
  const growth = steps.reduce((product, step) => product * step.growth, 1);
  check(growth <= MOST_GROWTH, `has a normalizer that may write ${growth} code points for one`);
  return steps;
}

function pointsOf(text) {
  return Int32Array.from(text, (letter) => letter.codePointAt(0));
}
