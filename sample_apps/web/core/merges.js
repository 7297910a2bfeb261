// Kind 1 of tokenizer.bin: byte-level byte pair encoding, the tokenizer of GPT-2 and RoBERTa.
//
// Symbols 0 to 255 are bytes, each further one is what a merge makes, in the order of the merges. So merges are pairs of
// numbers, and no token's text is in the file.

import { Pairs } from "./pairs.js";
import { readSteps } from "./steps.js";
import { MOST_TOKENS, PADDED, PUNCTUATION, Reader, SPACE, check, readClasses, readFrame } from "./stream.js";

const BYTES = 256;
const PLANES = 3;
const BLANK = 0x20;
const PREFIX_SPACE = 1;
const TRIM_OFFSETS = 2;
const TRIM_PREFIXED = 4;

/** How GPT-2's pattern sees a code point: bits beside those of stream.js. */
export const LETTER = 16;
export const NUMBER = 32;
export const GAP = 64;

/** The tables of the six streams, or seven; the header's kind is read. */
export function readMerges(header, streams) {
  const [, idSteps, , , results, classes, normalizer] = streams.map((stream) => new Reader(stream));
  const flags = header.number();
  const size = header.number(MOST_TOKENS);
  const frame = readFrame(header, size);
  const { symbols, ...merges } = readPairs(streams[2], streams[3], results);
  const points = readClasses(classes, [LETTER, NUMBER, GAP, SPACE, PUNCTUATION, PADDED]);
  check((points[BLANK] & (LETTER | NUMBER | GAP)) === GAP, "takes a space for something else"); // pieces could not end
  return {
    prefixSpace: (flags & PREFIX_SPACE) !== 0,
    trimOffsets: (flags & TRIM_OFFSETS) !== 0,
    trimPrefixed: (flags & TRIM_PREFIXED) !== 0,
    ids: readIds(idSteps, symbols, size),
    ...spacesAtEnds(merges, symbols),
    ...merges,
    ...frame,
    points,
    normalizer: readSteps(normalizer),
  };
}

/** For each merge its symbols and what it makes: the next new symbol, or one that there is. */
function readPairs(leftBytes, rightBytes, results) {
  const [lefts, rights] = [readPlanes(leftBytes), readPlanes(rightBytes)];
  check(lefts.length === rights.length, "has damaged merges");
  const made = new Int32Array(lefts.length);
  const ranks = new Pairs(lefts.length);
  let symbols = BYTES;
  for (let rank = 0; rank < made.length; rank++) {
    made[rank] = symbols + results.signed();
    const known = lefts[rank] < symbols && rights[rank] < symbols && made[rank] >= BYTES && made[rank] <= symbols;
    check(known && ranks.add(lefts[rank], rights[rank], rank), "has damaged merges");
    if (made[rank] === symbols) symbols++;
  }
  return { lefts, rights, made, ranks, symbols };
}

/** Numbers of three bytes: the low bytes of all, then the middle ones, then the high ones. */
function readPlanes(bytes) {
  const count = bytes.length / PLANES;
  check(Number.isInteger(count), "has damaged merges");
  return Int32Array.from({ length: count }, (_, i) => bytes[i] | (bytes[count + i] << 8) | (bytes[2 * count + i] << 16));
}

/** The id of each symbol, stored as the step from the id before plus one. */
function readIds(steps, symbols, size) {
  let id = -1;
  return Int32Array.from({ length: symbols }, () => {
    id += steps.signed() + 1;
    check(id >= 0 && id < size, "has an id that does not exist");
    return id;
  });
}

/** How many spaces each symbol begins and ends with; one of spaces alone begins and ends with all of them. */
function spacesAtEnds({ lefts, rights, made }, symbols) {
  const lengths = new Float64Array(symbols).fill(1); // a damaged file's could have 2^60 bytes
  const [leading, trailing] = [new Float64Array(symbols), new Float64Array(symbols)];
  leading[BLANK] = trailing[BLANK] = 1;
  for (let rank = 0; rank < made.length; rank++) {
    const [left, right, both] = [lefts[rank], rights[rank], made[rank]];
    lengths[both] = lengths[left] + lengths[right];
    leading[both] = leading[left] + (leading[left] === lengths[left] ? leading[right] : 0);
    trailing[both] = trailing[right] + (trailing[right] === lengths[right] ? trailing[left] : 0);
  }
  return { leading, trailing };
}
