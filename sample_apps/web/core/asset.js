// Reads tokenizer.bin (format: docs/bundle.md of edgepack) into flat tables: WordPiece here, other kinds in merges.js and
// pieces.js.
//
// The file holds all Unicode data that the tokenizer needs. Nothing here or in the tokenizers asks the browser about
// case, accents, spaces or punctuation: browsers have different editions of Unicode, the model was trained with one.

import { BundleError } from "./errors.js";
import { FIRST_SYLLABLE, SYLLABLES } from "./hangul.js";
import { readMerges } from "./merges.js";
import { readPieces } from "./pieces.js";
import { MOST_TOKENS, PADDED, PUNCTUATION, Reader, SPACE, check, readClasses, readFrame } from "./stream.js";
import { readFolds, readRanks } from "./tables.js";
import { readVocabulary } from "./trie.js";

const MAGIC = [0x45, 0x50, 0x54, 0x4b]; // "EPTK"
const VERSIONS = [1, 2]; // the first holds WordPiece alone
const LARGEST_STREAM = 2 ** 24; // bytes unpacked; the suffixes of 250,000 tokens take 2 MB
const LONGEST_WORD = 1000;
const HANGUL_DECOMPOSES = 1;

/** Kinds of tokenizers. */
export const WORD_PIECE = 0;
export const BYTE_PAIR = 1;
export const UNIGRAM = 2;

/** Bits of a code point's class beside those of every version. */
export const REMOVED = 1;
export const FOLDS = 16;
export const MARK = 32;
export const HANGUL = 64;

const KINDS = [
  { read: readWordPieces, streams: [6] },
  { read: readMerges, streams: [6, 7] }, // the last one is of a normalizer
  { read: readPieces, streams: [5, 6] },
];

/**
 * The tables of a tokenizer.bin, and its `kind`.
 * @param {Uint8Array} data
 */
export async function readAsset(data) {
  if (!MAGIC.every((byte, i) => data[i] === byte)) throw new BundleError("tokenizer.bin is not a tokenizer");
  const version = data[4];
  if (!VERSIONS.includes(version)) {
    const message = `tokenizer.bin has version ${version}, this app reads ${VERSIONS.join(" and ")}`;
    throw new BundleError(message, "unsupported");
  }
  const streams = await unpack(data);
  const header = new Reader(streams[0]);
  const kind = version === 1 ? WORD_PIECE : header.number();
  check(KINDS[kind] !== undefined, `is of kind ${kind}`);
  const allowed = KINDS[kind].streams;
  check(allowed.includes(streams.length), `has ${streams.length} parts, not ${allowed.join(" or ")}`);
  return { kind, ...KINDS[kind].read(header, streams) };
}

/** The six streams of WordPiece. */
function readWordPieces(header, streams) {
  const [, lengths, , classes, folds, ranks] = streams.map((stream) => new Reader(stream));
  const flags = header.number();
  const size = header.number(MOST_TOKENS);
  const unknownId = header.number(size);
  const longestWord = header.number(LONGEST_WORD + 1);
  const prefix = header.string();
  const frame = readFrame(header, size);
  const trie = readVocabulary(lengths, streams[2], size);
  const points = readClasses(classes, [REMOVED, SPACE, PUNCTUATION, PADDED]);
  const tables = { points, folds: readFolds(folds), ranks: readRanks(ranks) };
  for (const point of tables.folds.sources) points[point] |= FOLDS;
  for (const point of tables.ranks.marks) if (tables.ranks.get(point) > 0) points[point] |= MARK;
  if (flags & HANGUL_DECOMPOSES) {
    for (let i = 0; i < SYLLABLES; i++) points[FIRST_SYLLABLE + i] |= HANGUL;
  }
  return { unknownId, longestWord, prefix, trie, ...frame, ...tables };
}

/** Unpacks the zlib streams, each behind its length. */
async function unpack(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const most = Math.max(...KINDS.flatMap(({ streams }) => streams));
  const packed = [];
  for (let at = 5; at < data.length;) {
    const size = at + 4 <= data.length ? view.getUint32(at, true) : Infinity;
    if (at + 4 + size > data.length) throw new BundleError("tokenizer.bin ends too early");
    packed.push(data.subarray(at + 4, at + 4 + size));
    check(packed.length <= most, `has more than ${most} parts`);
    at += 4 + size;
  }
  check(packed.length > 0, "ends too early");
  return Promise.all(packed.map(inflate));
}

/** The bytes of a stream; a damaged one must not unpack to gigabytes. */
async function inflate(packed) {
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const blocks = [];
  let size = 0;
  try {
    for (let next = await reader.read(); !next.done && size <= LARGEST_STREAM; next = await reader.read()) {
      blocks.push(next.value);
      size += next.value.length;
    }
  } catch {
    throw new BundleError("tokenizer.bin is damaged: a part of it does not unpack");
  }
  if (size > LARGEST_STREAM) {
    await reader.cancel();
    throw new BundleError(`tokenizer.bin is damaged: a part of it unpacks to more than ${LARGEST_STREAM} bytes`);
  }
  return joined(blocks, size);
}

function joined(blocks, size) {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const block of blocks) {
    bytes.set(block, at);
    at += block.length;
  }
  return bytes;
}
