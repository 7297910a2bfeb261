// Texts with more tokens than the model takes, read whole: windows that overlap, and one answer out of theirs.
//
// The rule step by step: docs/bundle.md, "Windows"; the reference is edgepack/task/windows.py.

import { BundleError } from "./errors.js";

/**
 * @typedef {object} Windows
 * @property {number} overlap tokens
 * @property {"inner" | "mean" | "max"} combine
 */

/**
 * Start and end of each window, in the part of the tokens that is cut into windows; one if the text is short.
 * @param {number[]} sequences which text each token is of, −1 for special tokens
 * @param {number} maxLength
 * @param {number} overlap
 */
export function windowSpans(sequences, maxLength, overlap) {
  const [start, end] = part(sequences);
  if (sequences.length <= maxLength) return [[start, end]];
  const room = maxLength - (sequences.length - (end - start));
  if (room < 1) throw new BundleError(`windows of ${maxLength} tokens have no room for a text`);
  const step = room - Math.min(overlap, Math.floor(room / 2));
  const spans = [];
  for (let at = start; at < end - room; at += step) spans.push([at, at + room]);
  spans.push([end - room, end]);
  return spans;
}

/** The tokens of the longer text, of equals the second. */
function part(sequences) {
  const [first, second] = [0, 1].map((text) => [sequences.indexOf(text), sequences.lastIndexOf(text) + 1]);
  const longer = second[0] >= 0 && second[1] - second[0] >= first[1] - first[0] ? second : first;
  return longer[0] < 0 ? [0, 0] : longer;
}

/** What the model gets of a window: all tokens but those of the part that are outside of it. */
export function windowInput({ inputIds, tokenTypeIds }, spans, [start, end]) {
  const [from, to] = [spans[0][0], spans[spans.length - 1][1]];
  const take = (values) => [...values.slice(0, from), ...values.slice(start, end), ...values.slice(to)];
  return { inputIds: take(inputIds), tokenTypeIds: take(tokenTypeIds) };
}

/**
 * The logits of a text of `count` tokens from those of its windows.
 * @param {ArrayLike<number>[]} found of each window
 * @param {number[][]} spans
 * @param {number} count
 * @param {number} columns the number of labels
 * @param {"inner" | "mean" | "max"} combine
 */
export function combineWindows(found, spans, count, columns, combine) {
  if (spans.length === 1) return found[0];
  if (combine === "inner") return nearest(found, spans, count, columns);
  const out = new Float32Array(columns);
  for (let label = 0; label < columns; label++) {
    const values = found.map((logits) => logits[label]);
    out[label] = combine === "max" ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0) / values.length;
  }
  return out;
}

/** Each token's row from the window whose middle is nearest, of two the first one's. */
function nearest(found, spans, count, columns) {
  const [from, to] = [spans[0][0], spans[spans.length - 1][1]];
  const out = new Float32Array(count * columns);
  for (let token = 0, number = 0; token < count; token++) {
    while (number + 1 < spans.length && token >= (spans[number][1] + spans[number + 1][0] + 1) >> 1) number++;
    const [start, end] = spans[number];
    const row = token < from ? token : token < to ? from + token - start : from + end - start + token - to;
    for (let label = 0; label < columns; label++) out[token * columns + label] = found[number][row * columns + label];
  }
  return out;
}
