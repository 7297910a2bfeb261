// usage: node in_node.mjs BUNDLE…   Exit 1 if a bundle gives other labels than its goldens say.
import { readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import * as transformers from "@huggingface/transformers";
import { checkBundle } from "./check_bundle.mjs";

let passed = true;
for (const folder of process.argv.slice(2).map((path) => resolve(path))) {
  transformers.env.localModelPath = dirname(folder);
  const manifest = JSON.parse(readFileSync(join(folder, "edgepack.json"), "utf8"));
  const goldens = readFileSync(join(folder, "golden.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  const result = await checkBundle(transformers, basename(folder), manifest, goldens);
  console.log(result.lines.join("\n"));
  passed &&= result.passed;
}
process.exit(passed ? 0 : 1);
