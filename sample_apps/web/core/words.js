// The words of a text, which labels of token classification stand for: by where its tokens stand, whatever kind of
// tokenizer they are of. The rule step by step: docs/bundle.md of edgepack, "Words and entities".

import { PADDED, PUNCTUATION } from "./stream.js";
import { after, before } from "./encoding.js";

const OWN_SPACE = 0x20;

/**
 * The words of a text. A word is `{first, start, end}`: its first token, which alone carries its label, and its UTF-16
 * units.
 * @param {import("./encoding.js").Tokenizer} tokenizer
 * @param {string} text
 * @param {{offsets: number[], sequences: number[]}} encoding
 */
export function words(tokenizer, text, encoding) {
  const groups = [];
  let last = null;
  for (const unit of units(tokenizer, text, encoding)) {
    if (last === null || apart(tokenizer, text, last, unit)) groups.push([]);
    groups[groups.length - 1].push(unit);
    last = unit;
  }
  return groups.flatMap((group) => joined(tokenizer, text, group));
}

/**
 * Tokens without the spaces at their ends, those that overlap as one. A token of spaces is none, but the first token of
 * what it stands before, where it is that one's own space.
 */
function units(tokenizer, text, { offsets, sequences }) {
  const found = [];
  let blank = -1; // where the token before ends, if that is one of spaces
  sequences.forEach((sequence, token) => {
    if (sequence !== 0) return;
    let [start, end] = [offsets[2 * token], offsets[2 * token + 1]];
    while (start < end && tokenizer.isSpace(text.charCodeAt(start))) start++;
    while (start < end && tokenizer.isSpace(text.charCodeAt(end - 1))) end--;
    if (start >= end) {
      blank = offsets[2 * token + 1];
      return;
    }
    const last = found[found.length - 1];
    if (last !== undefined && start < last.end) last.end = Math.max(last.end, end);
    else found.push({ first: isOwnSpace(text, blank, start) ? token - 1 : token, start, end });
    blank = -1;
  });
  return found;
}

/**
 * Whether a token of spaces that ends at `blank` is spelled with the word at `start`. One that ends behind it, or at
 * the start of the text, is not in the text: the tokenizer has put it first.
 */
function isOwnSpace(text, blank, start) {
  return blank >= start && (blank > start || start === 0 || text.charCodeAt(start - 1) === OWN_SPACE);
}

/** Whether a word ends between two units. */
function apart(tokenizer, text, last, unit) {
  if (has(tokenizer, text, before(text, last.end), PADDED) || has(tokenizer, text, unit.start, PADDED)) return true;
  for (let at = last.end; at < unit.start; at++) if (tokenizer.isSpace(text.charCodeAt(at))) return true;
  return false;
}

/** A group as one word, with the punctuation at its ends as words beside it. */
function joined(tokenizer, text, group) {
  const marks = group.map((unit) => isMark(tokenizer, text, unit));
  let [from, to] = [0, group.length];
  while (from < to && marks[from]) from++;
  while (to > from && marks[to - 1]) to--;
  const middle = from < to ? [{ first: group[from].first, start: group[from].start, end: group[to - 1].end }] : [];
  return [...group.slice(0, from), ...middle, ...group.slice(to)];
}

function isMark(tokenizer, text, { start, end }) {
  for (let at = start; at < end; at = after(text, at)) if (!has(tokenizer, text, at, PUNCTUATION)) return false;
  return true;
}

function has(tokenizer, text, at, bit) {
  return (tokenizer.points[text.codePointAt(at)] & bit) !== 0;
}
