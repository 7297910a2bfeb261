// Labels of one's own: a model that judges entailment is asked of each label whether the text entails it.

import { softmax } from "./decision.js";

const TEMPLATE = ["This example is ", "."];

/**
 * The places of the labels that mean entailment and contradiction, by their names; null where the model judges none.
 * `contradiction` is null where no label is what entailment is held against.
 * @param {import("./manifest.js").Manifest} manifest
 */
export function readEntailment({ task, pair, labels, thresholds }) {
  const names = labels.map((label) => label.trim().toLowerCase());
  const found = names.flatMap((name, place) => (name === "entailment" ? [place] : []));
  const fits = task === "text-classification" && pair && thresholds === null && (names.length === 2 || names.length === 3);
  if (!fits || found.length !== 1) return null;
  const [entailment] = found;
  const named = names.indexOf("contradiction");
  return { entailment, contradiction: names.length === 2 ? 1 - entailment : named < 0 ? null : named };
}

/** What a text is to entail where it is of a label. */
export function hypothesis(label) {
  return TEMPLATE.join(label);
}

/** Whether labels can be judged: two or more, of which one is true, need no contradiction. */
export function canJudge({ contradiction }, count, severalTrue) {
  return count > 0 && (contradiction !== null || (count > 1 && !severalTrue));
}

/**
 * The labels with their probabilities, the most probable first.
 * @param {ArrayLike<number>[]} rows logits of each label's hypothesis
 * @param {string[]} labels
 * @param {{entailment: number, contradiction: number | null}} judged
 * @param {boolean} severalTrue each label is judged by itself, as one label alone always is
 */
export function judge(rows, labels, { entailment, contradiction }, severalTrue) {
  const alone = severalTrue || labels.length === 1;
  const together = alone ? [] : softmax(rows.map((row) => row[entailment]));
  const probability = (i) => (alone ? softmax([rows[i][contradiction], rows[i][entailment]])[1] : together[i]);
  return labels
    .map((label, i) => ({ label, probability: probability(i) }))
    .sort((a, b) => b.probability - a.probability);
}
