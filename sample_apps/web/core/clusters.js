// Grapheme clusters (Unicode's UAX #29) as the Hugging Face tokenizer sees them, by classes that the file holds. The
// reference in plain Python is edgepack/tokenizer/clusters.py.

import { isOpen, isSyllable } from "./hangul.js";

const CR = 0x0d;
const LF = 0x0a;
const JOINER = 0x200d;

/** Bits of a code point's class, in the file's order. */
const CONTROL = 1; // nothing joins it
const EXTENDING = 2; // joins what is before
const SPACING = 4; // joins too, but ends a picture's sequence
const PREPENDED = 8; // what follows joins it
const PICTURE = 16; // joins a picture before, over a zero-width joiner
const CONSONANT = 32; // joins a consonant before, over a linker
const LINKER = 64;
const BRIDGING = 128; // may stand between consonant and linker
const LEAD = 256; // of Hangul
const VOWEL = 512;
const TRAIL = 1024;
export const CLUSTER_BITS = [
  CONTROL,
  EXTENDING,
  SPACING,
  PREPENDED,
  PICTURE,
  CONSONANT,
  LINKER,
  BRIDGING,
  LEAD,
  VOWEL,
  TRAIL,
];

/**
 * Where the cluster ends that begins at `start`.
 * @param {Int32Array} points
 * @param {import("./tables.js").PointTable} classes
 */
export function clusterEnd(points, start, size, classes) {
  let at = start + 1;
  while (at < size && joins(points, start, at, classes)) at++;
  return at;
}

/** Whether the code point at a place belongs to the cluster that begins at `start` and reaches up to it. */
function joins(points, start, at, classes) {
  const [before, point] = [points[at - 1], points[at]];
  if (before === CR && point === LF) return true;
  const [left, right] = [classes.get(before), classes.get(point)];
  if (((left | right) & CONTROL) !== 0) return false;
  if ((right & (EXTENDING | SPACING)) !== 0 || (left & PREPENDED) !== 0) return true;
  if (joinsHangul(before, left, point, right)) return true;
  if (before === JOINER && (right & PICTURE) !== 0) {
    let place = at - 2;
    while (place > start && (classes.get(points[place]) & EXTENDING) !== 0) place--;
    return place >= start && (classes.get(points[place]) & PICTURE) !== 0;
  }
  return (right & CONSONANT) !== 0 && isLinked(points, start, at - 1, classes);
}

/** Whether there is a consonant before, and a linker behind it. */
function isLinked(points, start, place, classes) {
  let found = 0;
  let kind = classes.get(points[place]);
  while (place > start && (kind & (BRIDGING | LINKER)) !== 0) {
    found |= kind & LINKER;
    kind = classes.get(points[--place]);
  }
  return found !== 0 && (kind & CONSONANT) !== 0;
}

function joinsHangul(before, left, point, right) {
  if ((left & LEAD) !== 0) return (right & (LEAD | VOWEL)) !== 0 || isSyllable(point);
  if ((left & VOWEL) !== 0 || isOpen(before)) return (right & (VOWEL | TRAIL)) !== 0;
  return (isSyllable(before) || (left & TRAIL) !== 0) && (right & TRAIL) !== 0;
}
