// What an app does with a bundle's folder, in Node or in a page: `pipeline()` of the real transformers.js, compared
// with the bundle's goldens. Ids are not held to: transformers.js has its own tokenizer, which differs from the
// reference on rare characters (CJK Extension B, final sigma), so labels count where the ids are the reference's.
const KINDS = {
  "text-classification": { open: openPipeline, check: checkText },
  "token-classification": { open: openPipeline, check: checkTokens },
  multi_label_classification: { open: openPipeline, check: checkSet },
  regression: { open: openModel("AutoModelForSequenceClassification", "logits"), check: checkNumbers },
  "feature-extraction": { open: openModel("AutoModel", "sentence_embedding"), check: checkNumbers },
};
const TOLERANCE = 0.15; // of the largest logit, as edgepack/bundle/goldens.py; of a probability
const LEAST_SAME_IDS = 0.8; // of the goldens

export async function checkBundle(transformers, name, manifest, goldens) {
  transformers.env.allowRemoteModels = false;
  transformers.env.allowLocalModels = true;
  const { open, check } = KINDS[manifest.problem ?? manifest.task];
  const pipe = await open(transformers, name, manifest.task);
  const failures = [];
  let compared = 0;
  for (const golden of goldens.filter((each) => each.pair === undefined)) {
    const { input_ids: ids } = pipe.tokenizer(golden.text, { truncation: true, max_length: manifest.max_length });
    if (JSON.stringify(Array.from(ids.data, Number)) !== JSON.stringify(golden.input_ids)) continue;
    compared += 1;
    const failure = await check(pipe, golden, manifest.labels, manifest.thresholds);
    if (failure) failures.push(`${JSON.stringify(golden.text)}: ${failure}`);
  }
  const enough = compared >= LEAST_SAME_IDS * goldens.length;
  const summary = `${manifest.problem ?? manifest.task}: ${goldens.length} goldens, ${compared} with the reference's ids, ${failures.length} of these wrong`;
  return { passed: enough && failures.length === 0, lines: [...failures, summary] };
}

function openPipeline({ pipeline }, name, task) {
  return pipeline(task, name);
}

// Where the pipeline gives no number as the model does: the text-classification one takes the softmax of a single
// logit, which is 1, and the feature-extraction one wants the states of all tokens.
function openModel(kind, output) {
  return async (transformers, name) => {
    const tokenizer = await transformers.AutoTokenizer.from_pretrained(name);
    const model = await transformers[kind].from_pretrained(name);
    const ask = async (text) => Array.from((await model(tokenizer(text, { truncation: true })))[output].data);
    return Object.assign(ask, { tokenizer });
  };
}

async function checkNumbers(ask, golden) {
  const found = await ask(golden.text);
  const largest = Math.max(...golden.logits.map(Math.abs));
  const same = found.length === golden.logits.length && found.every((x, i) => Math.abs(x - golden.logits[i]) <= TOLERANCE * largest);
  return same ? null : `${found.slice(0, 4)}, expected ${golden.logits.slice(0, 4)}`;
}

async function checkSet(pipe, golden, labels, thresholds) {
  const found = new Map((await pipe(golden.text, { top_k: null })).map(({ label, score }) => [label, score]));
  for (const [i, label] of labels.entries()) {
    const expected = 1 / (1 + Math.exp(-golden.logits[i]));
    if (!(Math.abs(found.get(label) - expected) <= TOLERANCE)) return `${label} with score ${found.get(label)}, expected ${expected}`;
    if (golden.labels.includes(label) !== expected >= thresholds[i]) return `${label} is not answered by its threshold`;
  }
  return null;
}

async function checkText(pipe, golden, labels) {
  const [{ label, score }] = await pipe(golden.text);
  return wrong(label, score, golden.label, golden.logits, labels);
}

async function checkTokens(pipe, golden, labels) {
  const special = new Set(pipe.tokenizer.all_special_ids);
  const found = new Map((await pipe(golden.text)).map(({ index, entity, score }) => [index, { entity, score }]));
  for (const [i, expected] of golden.label.entries()) {
    if (special.has(golden.input_ids[i])) continue;
    const { entity, score } = found.get(i) ?? { entity: "O", score: null }; // tokens outside entities are left out
    const failure = wrong(entity, score, expected, golden.logits[i], labels);
    if (failure) return `token ${i}: ${failure}`;
  }
  return null;
}

// Sums of another order can tip an activation over a rounding step: labels may change places where they are as good
// as equal, and probabilities move a little.
function wrong(label, score, expected, logits, labels) {
  const [got, right] = [label, expected].map((each) => logits[labels.indexOf(each)]);
  if (right - got > TOLERANCE * Math.max(...logits.map(Math.abs))) return `${label}, expected ${expected}`;
  if (label !== expected || score === null) return null;
  const most = Math.max(...logits);
  const probability = Math.exp(right - most) / logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
  return Math.abs(score - probability) <= TOLERANCE ? null : `${label} with score ${score}, expected ${probability}`;
}
