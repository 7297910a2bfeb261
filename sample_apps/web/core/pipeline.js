// From a text to an answer: tokenize, run, decide.

import { entities, isSure, labelSet, rank, readMarks, scoreOf, tagWords } from "./decision.js";
import { hypothesis, judge, readEntailment } from "./entailment.js";
import { BundleError } from "./errors.js";
import { behind, cosine, ranked } from "./search.js";
import { unknownShare } from "./unknown.js";
import { combineWindows, windowInput, windowSpans } from "./windows.js";
import { words } from "./words.js";

export class Pipeline {
  /**
   * @param {import("./manifest.js").Manifest} manifest
   * @param {import("./encoding.js").Tokenizer} tokenizer
   * @param {{run: (input: {inputIds: number[], tokenTypeIds: number[]}) => Promise<Float32Array>}} model
   * @param {import("./search.js").KeptVectors | null} kept what a model that embeds ranks with
   */
  constructor(manifest, tokenizer, model, kept = null) {
    this.manifest = manifest;
    this.tokenizer = tokenizer;
    this.model = model;
    this.kept = kept;
    this.entailment = readEntailment(manifest); // null: labels of one's own cannot be judged
    this.marks = manifest.task === "token-classification" ? readMarks(manifest.labels, manifest.tagScheme) : [];
  }

  /**
   * The answer for a text: `ranked` labels of which the model is `sure` or not, all labels of which some are `answered`
   * as `set`, a `score`, a `vector`, or `entities` with their places; `unknown` is the share of tokens that are not known.
   * @param {string} text
   * @param {string | null} pair
   */
  async answer(text, pair = null) {
    const started = performance.now();
    const { maxLength, windows } = this.manifest;
    const encoding = this.tokenizer.encode(text, this.manifest.pair ? (pair ?? "") : null, maxLength, windows !== null);
    const tokenized = performance.now();
    const logits = await this.run(encoding);
    const done = performance.now();
    const unknown = unknownShare(encoding, this.tokenizer.data.unknownId);
    const times = { tokenizeMs: tokenized - started, modelMs: done - tokenized };
    return { ...this.decide(text, encoding, logits), encoding, logits, unknown, ...times };
  }

  /** The model's logits, of a long text those of its windows together. */
  async run(encoding) {
    const { maxLength, windows, labels } = this.manifest;
    const count = encoding.inputIds.length;
    if (windows === null || count <= maxLength) return this.model.run(encoding);
    const spans = windowSpans(encoding.sequences, maxLength, windows.overlap);
    const found = [];
    for (const span of spans) found.push(await this.model.run(windowInput(encoding, spans, span)));
    return combineWindows(found, spans, count, labels.length, windows.combine);
  }

  /**
   * The answer for a text, of labels that a person has chosen: the model runs once for each.
   * @param {string} text
   * @param {string[]} labels
   * @param {boolean} severalTrue
   */
  async judge(text, labels, severalTrue) {
    const answers = [];
    for (const label of labels) answers.push(await this.answer(text, hypothesis(label)));
    const sum = (key) => answers.reduce((total, answer) => total + answer[key], 0);
    const ranked = judge(
      answers.map(({ logits }) => logits),
      labels,
      this.entailment,
      severalTrue,
    );
    const unknown = Math.max(...answers.map((answer) => answer.unknown));
    return { ...answers[0], ranked, sure: true, unknown, tokenizeMs: sum("tokenizeMs"), modelMs: sum("modelMs") };
  }

  /** Whether it puts texts in the order that they suit a query: it embeds, or scores pairs. */
  get ranks() {
    const { vectorSize, activation, pair } = this.manifest;
    return vectorSize !== null || (activation !== null && pair);
  }

  /**
   * The texts in the order that they suit a query, the best first: by the cosine of vectors, which are computed once for
   * a text and kept, or by a model that scores pairs, which runs once for each text. `unknown` is of the query alone.
   * @param {string} query
   * @param {string[]} texts
   */
  async rank(query, texts) {
    const started = performance.now();
    const answers = [];
    const ask = async (...text) => {
      answers.push(await this.answer(...text));
      return answers.at(-1);
    };
    const scores = [];
    if (this.manifest.vectorSize !== null) {
      const { prompts } = this.manifest;
      const { vector } = await ask(behind(prompts.query, query));
      const vectors = await this.kept.of(texts, async (text) => (await ask(behind(prompts.text, text))).vector);
      scores.push(...vectors.map((each) => cosine(vector, each)));
    } else {
      for (const text of texts) scores.push((await ask(query, text)).score.value);
    }
    const modelMs = answers.reduce((total, each) => total + each.modelMs, 0);
    const tokenizeMs = performance.now() - started - modelMs;
    const alone = this.tokenizer.encode(query, null, this.manifest.maxLength);
    const unknown = unknownShare(alone, this.tokenizer.data.unknownId);
    return { found: ranked(texts, scores), encoding: answers[0].encoding, unknown, tokenizeMs, modelMs };
  }

  decide(text, encoding, logits) {
    const { task, labels, temperature, thresholds, activation, minConfidence, vectorSize } = this.manifest;
    if (vectorSize !== null) {
      if (logits.length === vectorSize) return { vector: Float32Array.from(logits) };
      throw new BundleError(`The model gives ${logits.length} numbers, not ${vectorSize}; package the app again`, "damaged");
    }
    if (activation !== null) return { score: { label: labels[0], value: scoreOf(logits[0], activation) } };
    if (thresholds !== null) return { set: labelSet(logits, labels, thresholds) };
    if (task === "text-classification") {
      const ranked = rank(logits, labels, temperature);
      return { ranked, sure: isSure(ranked, minConfidence) };
    }
    return { entities: this.entities(text, encoding, logits) };
  }

  entities(text, encoding, logits) {
    const { temperature, chain } = this.manifest;
    const found = words(this.tokenizer, text, encoding);
    return entities(found, tagWords(found, logits, this.marks, temperature, chain));
  }

  /** How much of the text the model saw: its last UTF-16 unit, or the text's length where nothing was cut. */
  seen(text, encoding) {
    const { maxLength, windows, pair } = this.manifest;
    const room = encoding.inputIds.length < maxLength || (windows !== null && !pair);
    return room
      ? text.length
      : Math.max(0, ...encoding.offsets.filter((_, i) => i % 2 === 1 && encoding.sequences[i >> 1] === 0));
  }
}
