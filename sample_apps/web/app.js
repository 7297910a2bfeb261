// The page: opens the pipeline, answers as one types, says what went wrong.

import { DOWNLOAD_URL, EXAMPLES, MODEL_FOLDER } from "./config.js";
import { canJudge } from "./core/entailment.js";
import { BundleError } from "./core/errors.js";
import { readList } from "./core/search.js";
import { CacheStore } from "./core/store.js";
import { MOSTLY } from "./core/unknown.js";
import { openPipeline } from "./pipeline.js";
import {
  element,
  show,
  showEntities,
  showExamples,
  showFacts,
  showFailure,
  showNeed,
  showOrder,
  showProgress,
  showRanked,
  showScore,
  showSet,
  showUnanswered,
} from "./view.js";

const PAUSE_MS = 80; // after the last key
const SHOWN_END = 14; // UTF-16 units
const SPOKEN_PAUSE_MS = 900; // a screen reader is not interrupted at every key

let pipeline = null;
let timer = 0;
let spokenTimer = 0;
let turn = 0;

function need(present, what) {
  if (!present)
    throw new BundleError(`This browser has no ${what}; open the page over https, in a current browser`, "unsupported");
}

async function start() {
  show("loading");
  const scope = new URL("./", location.href).href;
  const store = new CacheStore(scope);
  try {
    need("caches" in globalThis && globalThis.crypto?.subtle, "storage for verified files");
    need("DecompressionStream" in globalThis && "WebAssembly" in globalThis, "WebAssembly or DecompressionStream");
    pipeline = await openPipeline(
      { folder: new URL(MODEL_FOLDER, scope).href, download: DOWNLOAD_URL, store },
      showProgress,
    );
  } catch (error) {
    if (!(error instanceof BundleError)) console.error(error);
    showFailure(error);
    return;
  }
  showFacts(pipeline.manifest, store.stored);
  element("own-choice").hidden = pipeline.entailment === null;
  element("several-choice").hidden = pipeline.entailment?.contradiction === null;
  element("rank-choice").hidden = !pipeline.ranks;
  element("rank-label").hidden = pipeline.manifest.vectorSize !== null; // such a model does nothing else
  const kept = pipeline.manifest.vectorSize === null ? [] : await pipeline.kept.texts();
  if (kept.length > 0) element("list").value = kept.join("\n");
  showFields();
  showExamples(EXAMPLES, tryExample);
  show("workplace");
  document.documentElement.dataset.ready = "true";
  if (store.stored) sayOffline();
  await answer();
}

/** Whether one text is sorted into labels of one's own. */
const sortsText = () => pipeline.entailment !== null && element("own").checked;

/** Whether a list of texts is put in order. */
const ranksTexts = () => pipeline.ranks && (pipeline.manifest.vectorSize !== null || element("rank").checked);

/** The fields for what is asked: two texts, a text and labels, a query and texts, or a text. */
function showFields() {
  const [own, order] = [sortsText(), ranksTexts()];
  element("own-field").hidden = !own;
  element("list-field").hidden = !order;
  element("pair-field").hidden = own || order || !pipeline.manifest.pair;
  element("text-label").textContent = order ? "Search" : pipeline.manifest.pair && !own ? "First text" : "Text";
}

/** Fill in an example and answer it; the focus stays, so that the next one is a key away. */
function tryExample([text, pair]) {
  element("text").value = text;
  element("pair").value = pair ?? "";
  clearTimeout(timer);
  answer();
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(answer, PAUSE_MS);
}

/** Show what was found, whatever its kind; the same in words. */
function showAnswer(text, { ranked, sure, set, score, entities, found }) {
  if (found) return showOrder(found);
  if (set) return showSet(set);
  if (score) return showScore(score);
  return ranked ? showRanked(ranked, sure) : showEntities(text, entities);
}

/** The answer of the model; null where texts are to be put in order and there are none, or labels are not enough. */
function ask(text, pair) {
  if (ranksTexts()) {
    const texts = readList(element("list").value);
    return texts.length > 0 ? pipeline.rank(text, texts) : null;
  }
  if (!sortsText()) return pipeline.answer(text, pair);
  const [labels, several] = [readList(element("own-labels").value), element("several").checked];
  return canJudge(pipeline.entailment, labels.length, several) ? pipeline.judge(text, labels, several) : null;
}

/** Answer the text that is there; an answer that a newer one has overtaken is not shown. */
async function answer() {
  const mine = ++turn;
  clearTimeout(spokenTimer); // of an answer to another text
  const [text, pair] = [element("text").value, element("pair").value];
  const blank = text.trim() === "";
  element("empty").hidden = !blank;
  element("clear").hidden = text === "" && pair === "";
  if (blank) return clearAnswer();
  try {
    const found = await ask(text, pair);
    if (mine === turn) present(text, found);
  } catch (error) {
    console.error(error);
    if (mine === turn) sayUnanswered(error);
  }
}

/** Take the answer away, with all that was said of it. */
function clearAnswer() {
  element("result").replaceChildren();
  for (const id of ["unanswered", "unknown"]) element(id).hidden = true;
  for (const id of ["latency", "count", "spoken"]) element(id).textContent = "";
}

/** Show what was found for a text, or what is missing before there can be an answer. */
function present(text, found) {
  element("unanswered").hidden = true;
  element("unknown").hidden = !(found?.unknown > MOSTLY);
  if (found === null) {
    for (const id of ["latency", "count"]) element(id).textContent = "";
    element("spoken").textContent = showNeed(`Write ${ranksTexts() ? "sentences" : "labels to choose from"}, one on a line.`);
    return;
  }
  const doubt = found.unknown > MOSTLY ? `. ${element("unknown").textContent}` : "";
  const words = showAnswer(text, found) + doubt;
  element("latency").textContent = `${(found.tokenizeMs + found.modelMs).toFixed(1)} ms`;
  element("latency").title =
    `${found.tokenizeMs.toFixed(2)} ms for the tokenizer, ${found.modelMs.toFixed(2)} ms for the model`;
  element("count").textContent = countLine(text, found.encoding);
  spokenTimer = setTimeout(() => (element("spoken").textContent = words), SPOKEN_PAUSE_MS);
}

/** Say that there is no answer to this text, and why; the one before, to another text, goes. */
function sayUnanswered(error) {
  clearAnswer();
  element("spoken").textContent = showUnanswered(error);
}

/** How many tokens, and where the model stops reading a text that is too long. */
function countLine(text, encoding) {
  const tokens = `${encoding.inputIds.length} of ${pipeline.manifest.maxLength} tokens`;
  const seen = pipeline.seen(text, encoding);
  if (text.slice(seen).trim() === "") return tokens;
  return `${tokens}; the model stops reading after “…${text.slice(Math.max(0, seen - SHOWN_END), seen).trim()}”`;
}

/** Have the service worker keep the page; true once it has all of it. */
async function installShell() {
  if (!("serviceWorker" in navigator)) return false;
  try {
    await navigator.serviceWorker.register("service-worker.js");
    const { active } = await navigator.serviceWorker.ready;
    const channel = new MessageChannel();
    const answered = new Promise((resolve) => (channel.port1.onmessage = ({ data }) => resolve(data)));
    active.postMessage("complete?", [channel.port2]);
    return await answered;
  } catch (error) {
    console.warn("works online only:", error);
    return false;
  }
}

/** Say that a connection is not needed any more, once page and model are both here. */
async function sayOffline() {
  if (!(await shell) || pipeline === null) return;
  element("offline").textContent = "Ready to work without a connection.";
  document.documentElement.dataset.offline = "true";
}

for (const id of ["text", "pair", "own-labels", "several", "list"]) element(id).addEventListener("input", later);
for (const id of ["own", "rank"]) {
  element(id).addEventListener("input", () => {
    showFields();
    later();
  });
}
element("clear").addEventListener("click", () => {
  element("text").value = element("pair").value = "";
  element("text").focus();
  answer();
});
element("again").addEventListener("click", () => {
  element("text").focus(); // the button goes
  clearAnswer(); // so that the same failure is spoken of again
  answer();
});
element("retry").addEventListener("click", start);
const shell = installShell();
start();
