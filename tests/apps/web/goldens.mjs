// A bundle's goldens, and what a page that is packaged from it makes of them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

const TOLERANCE = 0.15; // of a text's largest logit, or of the usual one where that is more: docs/bundle.md

/** The manifest, the goldens, and the record of the model's file. */
export async function readBundle(folder) {
  const manifest = JSON.parse(await readFile(join(folder, "edgepack.json"), "utf8"));
  const lines = (await readFile(join(folder, "golden.jsonl"), "utf8")).trim().split("\n");
  const model = manifest.files.find((file) => file.shipped && file.path !== "tokenizer.bin");
  return { manifest, goldens: lines.map((line) => JSON.parse(line)), model };
}

/** Put every golden through the page's own pipeline and hold ids, offsets and logits to it; what was seen, in words. */
export async function checkPipeline(page, goldens) {
  const answers = await page.evaluate(answerAll, goldens);
  const usual = usualLogit(goldens);
  let worst = 0;
  goldens.forEach((golden, i) => {
    assert.deepEqual(answers[i].ids, golden.input_ids, golden.text);
    assert.deepEqual(answers[i].offsets, golden.offsets_utf16.flat(), golden.text);
    const expected = golden.logits.flat();
    assert.equal(answers[i].logits.length, expected.length);
    const error = Math.max(...expected.map((logit, k) => Math.abs(logit - answers[i].logits[k])));
    worst = Math.max(worst, error / Math.max(usual, ...expected.map(Math.abs)));
  });
  assert.ok(worst <= TOLERANCE, `logits differ by ${worst} of the largest or the usual one`);
  const times = answers.map(({ modelMs }) => modelMs).sort((a, b) => a - b);
  const within = `logits within ${(100 * worst).toFixed(2)} % of the largest or the usual one`;
  const speed = `model ${times[times.length >> 1].toFixed(1)} ms (median)`;
  return `${goldens.length} goldens: ids and offsets equal, ${within}, ${speed}`;
}

/** How large a logit of these goldens usually is. */
function usualLogit(goldens) {
  const logits = goldens.flatMap((golden) => golden.logits.flat());
  return Math.sqrt(logits.reduce((sum, logit) => sum + logit * logit, 0) / logits.length);
}

/** Those whose label is the same on every CPU: the two likeliest of it are further apart than CPUs differ. */
export function decided(goldens) {
  const usual = usualLogit(goldens);
  return goldens.filter(({ label, logits }) => {
    if (typeof label !== "string") return true;
    const [first, second] = [...logits].sort((a, b) => b - a);
    return first - second > TOLERANCE * usual;
  });
}

/** Runs in the page. */
async function answerAll(samples) {
  const [{ openPipeline }, { CacheStore }] = await Promise.all([import("./pipeline.js"), import("./core/store.js")]);
  const scope = new URL("./", location.href).href;
  const places = { folder: new URL("model/", scope).href, download: "", store: new CacheStore(scope) };
  const pipeline = await openPipeline(places, () => {});
  const answers = [];
  for (const { text, pair } of samples) {
    const { encoding, logits, modelMs } = await pipeline.answer(text, pair);
    answers.push({ ids: encoding.inputIds, offsets: encoding.offsets, logits: Array.from(logits), modelMs });
  }
  return answers;
}
