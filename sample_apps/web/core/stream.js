// The streams of a tokenizer.bin, and what every version says in one way: numbers, added tokens, templates, classes.
//
// A code point's classes are a byte in a table of all 1,114,112: a megabyte for a lookup without a branch.

import { BundleError } from "./errors.js";

const CODE_POINTS = 0x110000;

/** Bits of a code point's class, in every version. */
export const SPACE = 2;
export const PUNCTUATION = 4;
export const PADDED = 8;

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

  /** The next varint (LEB128). */
  number() {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new BundleError("tokenizer.bin holds a number that is too long");
  }

  /** The next varint as a count of things of a byte or more; a damaged one must not ask for gigabytes. */
  count() {
    return this.checked(this.number());
  }

  /** A count, if the rest of the stream can hold as many. */
  checked(count) {
    if (count > this.data.length - this.at) throw new BundleError("tokenizer.bin ends too early");
    return count;
  }

  numbers(count) {
    this.checked(count);
    return Array.from({ length: count }, () => this.number());
  }

  /** The next varint with its sign: 0, 1, 2, 3 … as 0, −1, 1, −2 …. */
  signed() {
    const number = this.number();
    return number % 2 === 0 ? number / 2 : -(number + 1) / 2;
  }

  string() {
    const length = this.count();
    this.at += length;
    return new TextDecoder().decode(this.data.subarray(this.at - length, this.at));
  }
}

/** The header's end in every version: added tokens and the two templates. */
export function readFrame(header) {
  const added = Array.from({ length: header.count() }, () => readAdded(header));
  return { added, single: readTemplate(header, 1), pair: readTemplate(header, 2) };
}

/** An added token; a late one is looked for in what the others have left. */
function readAdded(header) {
  const [id, flags] = header.numbers(2);
  const content = header.string();
  if (content === "") throw new BundleError("tokenizer.bin has an added token without a character");
  return { id, swallowsBefore: (flags & 1) !== 0, swallowsAfter: (flags & 2) !== 0, late: (flags & 4) !== 0, content };
}

/** Parts of a template of so many texts: kind (0 special, 1 first text, 2 second), the special token's id, type id. */
function readTemplate(header, texts) {
  return Array.from({ length: header.count() }, () => {
    const [kind, id, typeId] = header.numbers(3);
    if (kind > texts) throw new BundleError("tokenizer.bin has a damaged template");
    return { kind, id, typeId };
  });
}

/** The classes of all code points: a list of ranges for each bit. */
export function readClasses(reader, bits) {
  const points = new Uint8Array(CODE_POINTS);
  for (const bit of bits) {
    let at = 0;
    for (let ranges = reader.number(); ranges > 0; ranges--) {
      at += reader.number();
      const end = at + reader.number();
      if (end > CODE_POINTS) throw new BundleError("tokenizer.bin names a code point that does not exist");
      for (; at < end; at++) points[at] |= bit;
    }
  }
  return points;
}
