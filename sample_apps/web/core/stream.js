// The streams of a tokenizer.bin, and what every kind says in one way: numbers, added tokens, templates, classes.
//
// A code point's classes are a byte in a table of all 1,114,112: a megabyte for a lookup without a branch. A file may
// come from anywhere, so every number has a bound before anything is made of it.

import { BundleError } from "./errors.js";

export const CODE_POINTS = 0x110000;
export const MOST_TOKENS = 2_000_000;
const MOST_PIECES = 64; // of a template
const LARGEST = 2 ** 35; // five bytes of a varint

/** Bits of a code point's class, in every version. */
export const SPACE = 2;
export const PUNCTUATION = 4;
export const PADDED = 8;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Refuse a damaged file where something does not hold. */
export function check(holds, message) {
  if (!holds) throw new BundleError(`tokenizer.bin ${message}`);
}

/** Takes numbers and strings off the front of bytes. */
export class Reader {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  byte() {
    if (this.at >= this.data.length) throw new BundleError("tokenizer.bin ends too early");
    return this.data[this.at++];
  }

  /** The next bytes. */
  take(count) {
    this.at += this.checked(count);
    return this.data.subarray(this.at - count, this.at);
  }

  /** The next varint (LEB128), which must be below `limit`. */
  number(limit = LARGEST) {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte >= 0x80) continue;
      if (value >= limit)
        throw new BundleError(`tokenizer.bin holds the number ${value}, where less than ${limit} is allowed`);
      return value;
    }
    throw new BundleError("tokenizer.bin holds a number that is too long");
  }

  /** The next varint as a count of things of a byte or more; a damaged one must not ask for gigabytes. */
  count(limit = LARGEST) {
    return this.checked(this.number(limit));
  }

  /** A count, if the rest of the stream can hold as many. */
  checked(count) {
    if (count > this.data.length - this.at) throw new BundleError("tokenizer.bin ends too early");
    return count;
  }

  numbers(count, limit = LARGEST) {
    this.checked(count);
    return Array.from({ length: count }, () => this.number(limit));
  }

  /** The next varint with its sign: 0, 1, 2, 3 … as 0, −1, 1, −2 …. */
  signed() {
    const number = this.number();
    return number % 2 === 0 ? number / 2 : -(number + 1) / 2;
  }

  string() {
    const bytes = this.take(this.count());
    try {
      return utf8.decode(bytes);
    } catch {
      throw new BundleError("tokenizer.bin has a string that is not UTF-8");
    }
  }

  /** The next code points: steps between them, signed ones where they may go down. */
  points(count, signed = false) {
    this.checked(count);
    let point = 0;
    return Int32Array.from({ length: count }, () => {
      point += signed ? this.signed() : this.number();
      check(point >= 0 && point < CODE_POINTS, "names a code point that does not exist");
      return point;
    });
  }

  /** Hand over the start and the end of each range of the next list. */
  ranges(use) {
    let end = 0;
    for (let left = this.count(); left > 0; left--) {
      const start = end + this.number();
      end = start + this.number();
      check(end <= CODE_POINTS, "names a code point that does not exist");
      use(start, end);
    }
  }
}

/** The header's end in every kind: added tokens and the two templates; all ids are below `size`. */
export function readFrame(header, size) {
  const added = Array.from({ length: header.count() }, () => readAdded(header, size));
  return { added, single: readTemplate(header, 1, size), pair: readTemplate(header, 2, size) };
}

/** An added token; a late one is looked for in normalized text, in what the others have left. */
function readAdded(header, size) {
  const id = header.number(size);
  const flags = header.number();
  const content = Int32Array.from(header.string(), (letter) => letter.codePointAt(0));
  check(content.length > 0, "has an added token without a character");
  return { id, swallowsBefore: (flags & 1) !== 0, swallowsAfter: (flags & 2) !== 0, late: (flags & 4) !== 0, content };
}

/** Parts of a template of so many texts: kind (0 special, 1 first text, 2 second), the special token's id, type id. */
function readTemplate(header, texts, size) {
  return Array.from({ length: header.count(MOST_PIECES + 1) }, () => {
    const kind = header.number();
    check(kind <= texts, "has a damaged template");
    return { kind, id: header.number(kind === 0 ? size : 1), typeId: header.number() };
  });
}

/** The classes of all code points: a list of ranges for each bit. */
export function readClasses(reader, bits) {
  const points = new Uint8Array(CODE_POINTS);
  for (const bit of bits) {
    reader.ranges((start, end) => {
      for (let point = start; point < end; point++) points[point] |= bit;
    });
  }
  return points;
}
