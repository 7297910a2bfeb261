// Reads tokenizer.bin (format: docs/bundle.md of edgepack) into flat tables: version 1 here, version 2 in merges.js.
//
// The file holds all Unicode data that the tokenizer needs. Nothing here or in the tokenizers asks the browser about
// case, accents, spaces or punctuation: browsers have different editions of Unicode, the model was trained with one.

import { BundleError } from "./errors.js";
import { readMerges } from "./merges.js";
import { PADDED, PUNCTUATION, Reader, SPACE, readClasses, readFrame } from "./stream.js";
import { readVocabulary } from "./trie.js";

const MAGIC = [0x45, 0x50, 0x54, 0x4b]; // "EPTK"
export const WORD_PIECE = 1; // versions
export const BYTE_PAIR = 2;
const STREAMS = 6;
const HANGUL_DECOMPOSES = 1;
const FIRST_SYLLABLE = 0xac00;
const SYLLABLES = 11172;

/** Bits of a code point's class beside those of every version. */
export const REMOVED = 1;
export const FOLDS = 16;
export const MARK = 32;
export const HANGUL = 64;

/**
 * The tables of a tokenizer.bin, and its `version`.
 * @param {Uint8Array} data
 */
export async function readAsset(data) {
  if (!MAGIC.every((byte, i) => data[i] === byte)) throw new BundleError("tokenizer.bin is not a tokenizer");
  const version = data[4];
  if (version !== WORD_PIECE && version !== BYTE_PAIR) {
    throw new BundleError(
      `tokenizer.bin has version ${version}, this app reads ${WORD_PIECE} and ${BYTE_PAIR}`,
      "unsupported",
    );
  }
  const streams = await unpack(data);
  return { version, ...(version === WORD_PIECE ? readWordPieces(streams) : readMerges(streams)) };
}

/** The six streams of version 1. */
function readWordPieces(streams) {
  const [header, lengths, , classes, folds, ranks] = streams.map((stream) => new Reader(stream));
  const flags = header.number();
  const [size, unknownId, longestWord] = header.numbers(3);
  const prefix = header.string();
  const frame = readFrame(header);
  const trie = readVocabulary(lengths, streams[2], size);
  const points = readClasses(classes, [REMOVED, SPACE, PUNCTUATION, PADDED]);
  const tables = { points, folds: readFolds(folds), ranks: readRanks(ranks) };
  for (const point of tables.folds.keys()) points[point] |= FOLDS;
  for (const point of tables.ranks.keys()) points[point] |= MARK;
  if (flags & HANGUL_DECOMPOSES) {
    for (let i = 0; i < SYLLABLES; i++) points[FIRST_SYLLABLE + i] |= HANGUL;
  }
  return { unknownId, longestWord, prefix, trie, ...frame, ...tables };
}

/** Unpacks the zlib streams, each behind its length. */
async function unpack(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const packed = [];
  for (let at = 5; at < data.length;) {
    const size = at + 4 <= data.length ? view.getUint32(at, true) : Infinity;
    if (at + 4 + size > data.length) throw new BundleError("tokenizer.bin ends too early");
    packed.push(data.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  if (packed.length !== STREAMS) throw new BundleError(`tokenizer.bin has ${packed.length} parts, not ${STREAMS}`);
  try {
    return await Promise.all(packed.map(inflate));
  } catch {
    throw new BundleError("tokenizer.bin is damaged: a part of it does not unpack");
  }
}

async function inflate(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Code point → the code points that it becomes. */
function readFolds(reader) {
  const sources = running(reader.numbers(reader.number()));
  const lengths = reader.numbers(sources.length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const targets = running(Array.from({ length: total }, () => reader.signed()));
  let at = 0;
  return new Map(sources.map((source, i) => [source, Int32Array.from(targets.slice(at, (at += lengths[i])))]));
}

/** Combining mark → its rank among those around it. */
function readRanks(reader) {
  const marks = running(reader.numbers(reader.number()));
  const ranks = reader.numbers(marks.length);
  return new Map(marks.map((mark, i) => [mark, ranks[i]]));
}

function running(steps) {
  let sum = 0;
  return steps.map((step) => (sum += step));
}
