// From logits to what people read: probabilities of labels, or entities in the text.

import { PADDED, PUNCTUATION } from "./asset.js";

/**
 * Probabilities of a row of logits; safe where they are large.
 * @param {ArrayLike<number>} logits
 * @param {number} temperature of the manifest: how much less sure the model is than its logits say
 */
export function softmax(logits, temperature = 1) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** The place of the largest value, the first of equal ones. */
export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Labels with their probabilities, the most probable first. */
export function rank(logits, labels, temperature = 1) {
  const probabilities = softmax(logits, temperature);
  return labels
    .map((label, i) => ({ label, probability: probabilities[i] }))
    .sort((a, b) => b.probability - a.probability);
}

/**
 * The words of a text as a teacher of token classification saw them: what stands between spaces, punctuation at its
 * ends and ideographs by themselves. A word is `{first, start, end}`: its first token, which alone carries its label,
 * and its UTF-16 units.
 * @param {import("./encoding.js").Tokenizer} tokenizer
 * @param {string} text
 * @param {{offsets: number[], sequences: number[]}} encoding
 */
export function words(tokenizer, text, encoding) {
  const tokens = [];
  encoding.sequences.forEach((sequence, token) => {
    if (sequence < 0) return;
    let [start, end] = encoding.offsets.slice(2 * token, 2 * token + 2);
    while (start < end && tokenizer.isSpace(text.charCodeAt(start))) start++; // byte pairs may hold a word's space
    while (start < end && tokenizer.isSpace(text.charCodeAt(end - 1))) end--;
    if (start === end) return;
    const kind = tokenizer.points[text.codePointAt(start)];
    const alone = end - start <= 2 && Array.from(text.slice(start, end)).length === 1;
    tokens.push({
      first: token,
      start,
      end,
      ideograph: alone && (kind & PADDED) !== 0,
      mark: alone && (kind & PUNCTUATION) !== 0,
    });
  });
  return groups(tokenizer, text, tokens).flatMap(joined);
}

/** Tokens with no space between them; an ideograph is a group of its own. */
function groups(tokenizer, text, tokens) {
  const found = [];
  tokens.forEach((token, i) => {
    const before = tokens[i - 1];
    const apart =
      before === undefined || token.ideograph || before.ideograph || hasSpace(tokenizer, text, before.end, token.start);
    if (apart) found.push([]);
    found[found.length - 1].push(token);
  });
  return found;
}

function hasSpace(tokenizer, text, start, end) {
  for (let at = start; at < end; at++) if (tokenizer.isSpace(text.charCodeAt(at))) return true;
  return false;
}

/** A group as one word, with the punctuation at its ends as words beside it. */
function joined(group) {
  let [from, to] = [0, group.length];
  while (from < to && group[from].mark) from++;
  while (to > from && group[to - 1].mark) to--;
  const word = (tokens) => ({ first: tokens[0].first, start: tokens[0].start, end: tokens[tokens.length - 1].end });
  const middle = from < to ? [word(group.slice(from, to))] : [];
  const single = (token) => word([token]);
  return [...group.slice(0, from).map(single), ...middle, ...group.slice(to).map(single)];
}

/**
 * Entities by CoNLL's rule: B- begins one, I- goes on where the type is the same and begins one elsewhere. An entity is
 * as probable as its least probable word.
 * @param {{start: number, end: number}[]} found words
 * @param {{label: string, probability: number}[]} tags of each word
 */
export function entities(found, tags) {
  const spans = [];
  let open = null;
  tags.forEach(({ label, probability }, i) => {
    if (label === "O") {
      open = null;
      return;
    }
    const type = label.slice(2);
    if (open === null || open.type !== type || label.startsWith("B")) {
      open = { type, start: found[i].start, end: found[i].end, probability };
      spans.push(open);
      return;
    }
    open.end = found[i].end;
    open.probability = Math.min(open.probability, probability);
  });
  return spans;
}
