// From logits to what people read: probabilities of labels, or entities in the text.

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

/** The probability of a label that is a question of its own. */
export function sigmoid(logit) {
  return 1 / (1 + Math.exp(-logit));
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
