// Kind 2 of tokenizer.bin: Unigram, SentencePiece's language model of pieces, as XLM-RoBERTa, ALBERT and T5 have it.
//
// Scores have 32 bits, or 64 where they need them; sums of them are compared, so they are kept as they are.

import { NONE } from "./pairs.js";
import { readSteps } from "./steps.js";
import { MOST_TOKENS, PADDED, PUNCTUATION, Reader, SPACE, check, readClasses, readFrame } from "./stream.js";
import { readVocabulary } from "./trie.js";

const MOST_SPLITS = 100;
const PENALTY = 10; // below the lowest score: that of an unknown character
const BYTE_FALLBACK = 1; // flags
const TRIM_OFFSETS = 2;
const TRIM_PREFIXED = 4;
const WIDE = 8;

/** Kinds of steps that split, and where the last one puts a space. */
export const SPLIT_SPACES = 1;
export const SPLIT_MARKS = 2;
export const METASPACE = 3;
export const FIRST = 1;
export const ALWAYS = 2;

/** The tables of the five streams, or six; the header's kind is read. */
export function readPieces(header, streams) {
  const [, lengths, , scoreBytes, classes, normalizer] = streams.map((stream) => new Reader(stream));
  const flags = header.number();
  const size = header.number(MOST_TOKENS);
  const count = header.number(size + 1);
  const unknownId = header.number(count);
  const splitting = Array.from({ length: header.count(MOST_SPLITS + 1) }, () => readSplitting(header));
  const frame = readFrame(header, size);
  const scores = readScores(scoreBytes, count, (flags & WIDE) !== 0);
  const trie = readVocabulary(lengths, streams[2], count);
  return {
    trimOffsets: (flags & TRIM_OFFSETS) !== 0,
    trimPrefixed: (flags & TRIM_PREFIXED) !== 0,
    unknownId,
    unknownScore: scores.reduce((lowest, score) => Math.min(lowest, score), Infinity) - PENALTY,
    bytePieces: (flags & BYTE_FALLBACK) === 0 ? null : findBytes(trie),
    scores,
    trie,
    splitting,
    ...frame,
    points: readClasses(classes, [SPACE, PUNCTUATION, PADDED]),
    normalizer: readSteps(normalizer),
  };
}

/** A step that splits; one of Metaspace has its letter for a space, where it puts one, and whether it splits. */
function readSplitting(header) {
  const kind = header.number(METASPACE + 1);
  check(kind >= SPLIT_SPACES, `has a splitting of kind ${kind}`);
  if (kind !== METASPACE) return { kind };
  const [letter, ...more] = header.string();
  check(letter !== undefined && more.length === 0, "has a letter for spaces that is not one");
  return { kind, letter: letter.codePointAt(0), scheme: header.number(ALWAYS + 1), splits: header.number(2) === 1 };
}

/** The lowest bytes of all scores, then the next ones, to sign and exponent. */
function readScores(reader, count, isWide) {
  const scores = isWide ? new Float64Array(count) : new Float32Array(count);
  const width = scores.BYTES_PER_ELEMENT;
  const planes = Array.from({ length: width }, () => reader.take(count));
  const view = new DataView(new ArrayBuffer(width));
  for (let id = 0; id < count; id++) {
    planes.forEach((plane, i) => view.setUint8(i, plane[id]));
    scores[id] = isWide ? view.getFloat64(0, true) : view.getFloat32(0, true);
    check(Number.isFinite(scores[id]), "has a score that is no finite number");
  }
  return scores;
}

/** The id of each byte's piece; −1 where there is none. */
function findBytes(trie) {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    const node = trie.find(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    return node === NONE ? NONE : trie.ids[node];
  });
}
