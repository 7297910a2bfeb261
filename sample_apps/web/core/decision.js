// From logits to what people read: probabilities of labels, or entities in the text.

import { LEAST, marginals } from "./chain.js";
import { BundleError } from "./errors.js";

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
 * Whether the likeliest label is probable enough to be the answer.
 * @param {{probability: number}[]} ranked
 * @param {number | null} minConfidence of the manifest; null where the model always answers
 */
export function isSure(ranked, minConfidence) {
  return minConfidence === null || ranked[0].probability >= minConfidence;
}

/** The probability of a label that is a question of its own. */
export function sigmoid(logit) {
  return 1 / (1 + Math.exp(-logit));
}

/** The score that a logit is, by the manifest's activation. */
export function scoreOf(logit, activation) {
  return activation === "sigmoid" ? sigmoid(logit) : logit;
}

/**
 * All labels of a text that has a set of them, the most probable first; `answered` are those of the set.
 * @param {ArrayLike<number>} logits
 * @param {string[]} labels
 * @param {number[]} thresholds of the manifest: the probability from which on each label is answered
 */
export function labelSet(logits, labels, thresholds) {
  return labels
    .map((label, i) => ({ label, probability: sigmoid(logits[i]), answered: sigmoid(logits[i]) >= thresholds[i] }))
    .sort((a, b) => b.probability - a.probability);
}

const PREFIXED = /^(?:([BIESULM])(?:[-_]([^\n]+))?|([biesulm])[-_]([^\n]+))$/;

/**
 * What labels say as tags of words by a manifest's scheme: the entity's `kind`, null outside, and whether the word
 * begins or ends one by itself.
 * @param {string[]} labels
 * @param {string} scheme
 */
export function readMarks(labels, scheme) {
  return labels.map((label) => {
    const tag = label.trim();
    if (scheme === "plain") return { kind: label, begins: true, ends: true };
    if (tag === "O" || tag === "o") return { kind: null, begins: false, ends: false };
    if (scheme === "types") return { kind: label, begins: false, ends: false };
    const found = PREFIXED.exec(tag);
    if (found === null) throw new BundleError(`edgepack.json has the label ${label}, which is no tag of ${scheme}`);
    const prefix = (found[1] ?? found[3]).toUpperCase();
    const kind = (found[2] ?? found[4] ?? "").trim();
    return { kind, begins: "BSU".includes(prefix), ends: "ESLU".includes(prefix) };
  });
}

/**
 * The tag of each word of a text, by the logits of its first token: by a chain of all words together, or of each word by
 * itself.
 * @param {{first: number}[]} found words
 * @param {Float32Array} logits a row for each token
 * @param {{kind: string | null, begins: boolean, ends: boolean}[]} marks by class
 * @param {number} temperature
 * @param {import("./chain.js").Chain | null} chain
 */
export function tagWords(found, logits, marks, temperature, chain) {
  const rows = found.map(({ first }) => logits.subarray(first * marks.length, (first + 1) * marks.length));
  const decided = chain === null ? rows : logMarginals(rows, chain);
  return decided.map((row) => {
    const probabilities = softmax(row, temperature);
    const best = argmax(probabilities);
    return { mark: marks[best], probability: probabilities[best] };
  });
}

/** What a chain makes of the logits of a text's words: the logarithms of their marginal probabilities. */
function logMarginals(rows, chain) {
  const own = rows.map((row) => softmax(row));
  return marginals(own, chain).map((row) => row.map((share) => Math.log(Math.max(share, LEAST))));
}

/**
 * Entities of tagged words. A word continues the one before if both have one type, its tag begins none by itself, and
 * the one before ends none. An entity is as probable as its least probable word. Of plain tags each word is one.
 * @param {{start: number, end: number}[]} found words
 * @param {{mark: {kind: string | null, begins: boolean, ends: boolean}, probability: number}[]} tags of each word
 */
export function entities(found, tags) {
  const spans = [];
  let before = null;
  tags.forEach(({ mark, probability }, i) => {
    const { start, end } = found[i];
    const last = spans[spans.length - 1];
    if (mark.kind !== null && before?.kind === mark.kind && !mark.begins && !before.ends) {
      last.end = end;
      last.probability = Math.min(last.probability, probability);
    } else if (mark.kind !== null) {
      spans.push({ type: mark.kind, start, end, probability });
    }
    before = mark;
  });
  return spans;
}
