// Writes streams of a tokenizer.bin for tests, as docs/bundle.md has the format.

import { deflateSync } from "node:zlib";
import { BundleError } from "../../../sample_apps/web/core/errors.js";

/** The code points of a text in order. */
export const points = (text) => Array.from(text, (letter) => letter.codePointAt(0)).sort((a, b) => a - b);

/** Varints. */
export function numbers(...values) {
  const bytes = [];
  for (let value of values) {
    for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
    bytes.push(value);
  }
  return bytes;
}

export const signed = (value) => (value < 0 ? -2 * value - 1 : 2 * value);
export const string = (text) => [...numbers(Buffer.byteLength(text)), ...Buffer.from(text)];

/** Steps between code points, signed ones where they may go down. */
export function steps(list, write = (step) => step) {
  return numbers(...list.map((point, i) => write(point - (i === 0 ? 0 : list[i - 1]))));
}

export function ranges(list) {
  let end = 0;
  return numbers(list.length, ...list.flatMap((point) => [point - end, ((end = point + 1), 1)]));
}

/** What letters become: pairs of strings, in order. */
export function folds(...pairs) {
  const sources = pairs.map(([source]) => source.codePointAt(0));
  const targets = pairs.map(([, target]) => Array.from(target, (letter) => letter.codePointAt(0)));
  const lengths = numbers(...targets.map((target) => target.length));
  return [...numbers(pairs.length), ...steps(sources), ...lengths, ...steps(targets.flat(), signed)];
}

/** The file of these streams. */
export function packed(parts, version = 2) {
  const blocks = parts.flatMap((part) => {
    const block = deflateSync(Buffer.from(part));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(block.length);
    return [length, block];
  });
  return new Uint8Array(Buffer.concat([Buffer.from([...Buffer.from("EPTK"), version]), ...blocks]));
}

/** Whether an error says in one line that the file is damaged. */
export const isDamage = (error) =>
  error instanceof BundleError && error.kind === "damaged" && /^tokenizer\.bin:? [^\n]+$/.test(error.message);
