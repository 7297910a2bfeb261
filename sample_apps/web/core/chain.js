// Tags of a text's words decided together: the words are a chain with scores of a tag behind another.
//
// The rule step by step: edgepack's docs/bundle.md, "Tags decided together".

import { BundleError } from "./errors.js";

export const LEAST = 1e-300; // probability whose logarithm is taken for 0's
const PAIR = /^([0-9]{1,6}) ([0-9]{1,6}) (-?[0-9]{1,4}(?:\.[0-9]{1,4})?)$/; // before, behind, score
const SHOWN = 60; // characters of a pair in a message

/**
 * What pairs of tags multiply a chain's probability by: before, behind. The last row is of a text's begin, and the last
 * column of its end.
 * @typedef {Float64Array[]} Chain
 */

/**
 * Of `count` tags.
 * @param {number} unseen score of each pair that is not in the list
 * @param {string[]} pairs "before behind score", with class ids
 * @param {number} count
 * @returns {Chain}
 */
export function chainOf(unseen, pairs, count) {
  const factors = Array.from({ length: count + 1 }, () => new Float64Array(count + 1).fill(Math.exp(unseen)));
  const seen = new Set();
  for (const pair of pairs) {
    const [before, behind, score] = (PAIR.exec(pair) ?? []).slice(1).map(Number);
    const place = `${before} ${behind}`;
    if (!(before <= count && behind <= count) || seen.has(place)) {
      const wrong = `is no pair of ${count} tags and its score, or the second of one pair`;
      throw new BundleError(`edgepack.json has the chain's pair ${pair.slice(0, SHOWN)}, which ${wrong}`);
    }
    seen.add(place);
    factors[before][behind] = Math.exp(score);
  }
  return factors;
}

/**
 * How probable each tag is of each word of one text, by the forward-backward algorithm, each step divided by its sum.
 * @param {number[][]} own of each word by itself
 * @param {Chain} factors
 */
export function marginals(own, factors) {
  const count = factors.length - 1;
  const ofTags = (value) => Array.from({ length: count }, (_, tag) => value(tag));
  const sum = (values, weight) => values.reduce((total, value, tag) => total + value * weight(tag), 0);
  const forward = [];
  for (const row of own) {
    const last = forward.at(-1);
    forward.push(normal(ofTags((tag) => row[tag] * (last ? sum(last, (i) => factors[i][tag]) : factors[count][tag]))));
  }
  const found = new Array(own.length);
  let backward = ofTags((tag) => factors[tag][count]);
  for (let place = own.length - 1; place >= 0; place--) {
    found[place] = normal(ofTags((tag) => forward[place][tag] * backward[tag]));
    const behind = ofTags((tag) => backward[tag] * own[place][tag]);
    backward = normal(ofTags((tag) => sum(behind, (i) => factors[tag][i])));
  }
  return found;
}

/** The values divided by their sum. */
function normal(values) {
  const sum = Math.max(
    values.reduce((total, value) => total + value, 0),
    LEAST,
  );
  return values.map((value) => value / sum);
}
