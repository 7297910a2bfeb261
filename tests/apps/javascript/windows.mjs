// Compares long texts in windows with the reference's, tests/apps/long_texts.py: TOKENIZER.bin LINES.jsonl; prints numbers.

import { readFile } from "node:fs/promises";
import { readTokenizer } from "../../../sample_apps/web/core/tokenizer.js";
import { combineWindows, windowInput, windowSpans } from "../../../sample_apps/web/core/windows.js";

const [asset, file] = process.argv.slice(2);
const tokenizer = await readTokenizer(new Uint8Array(await readFile(asset)));
const text = (value) => JSON.stringify(value);
const near = (a, b) => a.length === b.length && a.every((value, i) => Math.abs(value - b[i]) < 2e-5);
let [lines, different] = [0, 0];
for (const line of (await readFile(file, "utf8")).trim().split("\n").map(JSON.parse)) {
  lines++;
  const encoding = tokenizer.encode(line.text, line.pair ?? null, line.max_length, true);
  const spans = windowSpans(encoding.sequences, line.max_length, line.overlap);
  const inputs = spans.map((span) => windowInput(encoding, spans, span).inputIds);
  const logits = combineWindows(line.found, spans, encoding.inputIds.length, line.columns, line.combine);
  const same =
    text(encoding.inputIds) === text(line.input_ids) &&
    text(encoding.tokenTypeIds) === text(line.token_type_ids) &&
    text(spans) === text(line.windows) &&
    text(inputs) === text(line.inputs) &&
    near(Array.from(logits), line.logits);
  if (!same) different++;
}
console.log(JSON.stringify({ lines, different }));
process.exit(different > 0 || lines === 0 ? 1 : 0);
