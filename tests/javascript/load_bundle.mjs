// Loads a bundle's folder with transformers.js, as an app would, and compares labels with the bundle's goldens.
// usage: node load_bundle.mjs BUNDLE; one line per failure, exit 1 if any. Ids are not compared: transformers.js
// has its own tokenizer, which differs from the reference on rare characters (CJK Extension B, final sigma).
import { readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { AutoModelForSequenceClassification, AutoTokenizer, env } from "@huggingface/transformers";

const folder = resolve(process.argv[2]);
env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const name = basename(folder);
const tokenizer = await AutoTokenizer.from_pretrained(name);
const model = await AutoModelForSequenceClassification.from_pretrained(name);
const manifest = JSON.parse(readFileSync(join(folder, "edgepack.json"), "utf8"));
const goldens = readFileSync(join(folder, "golden.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));

let agreed = 0;
let plain = 0;
const failures = [];
for (const golden of goldens) {
  const inputs = tokenizer(golden.text, { text_pair: golden.pair ?? null, truncation: true, max_length: manifest.max_length });
  const { logits } = await model(inputs);
  const values = Array.from(logits.data);
  const label = model.config.id2label[values.indexOf(Math.max(...values))];
  const sameIds = JSON.stringify(Array.from(inputs.input_ids.data, Number)) === JSON.stringify(golden.input_ids);
  if (label === golden.label) agreed += 1;
  else if (sameIds) failures.push(`${JSON.stringify(golden.text)}: ${label}, expected ${golden.label}`);
  if (sameIds) plain += 1;
}
for (const failure of failures) console.log(failure);
console.log(`${goldens.length} goldens: ${plain} with the reference's ids, ${agreed} with its label`);
process.exit(failures.length > 0 || plain < 0.8 * goldens.length ? 1 : 0);
