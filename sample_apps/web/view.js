// What is on the screen: answers, facts, failures. All text, the bundle's and the user's, goes in as text, never as HTML.

import { megabytes } from "./pipeline.js";

const SHOWN_LABELS = 5;
const NOT_SURE = "Not sure. The best guess: ";
const NO_LABELS = "none"; // of a text whose set of labels is empty
const SCORE_DECIMALS = 2;
const COLOURS = 8; // classes .colour-0 to .colour-7 of app.css

export const element = (id) => document.getElementById(id);

/** A new element with attributes and children. */
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A label as people read it. */
export const readable = (label) => label.replaceAll("_", " ");

export function percent(share) {
  if (share < 0.001) return "< 0.1 %";
  return share > 0.999 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`;
}

/** Show one of the three states of the page. */
export function show(state) {
  for (const id of ["loading", "failure", "workplace"]) element(id).hidden = id !== state;
}

export function showProgress(step, share) {
  element("loading-step").textContent = step;
  element("loading-bar").value = share;
}

const FAILURES = {
  damaged: [
    "The model is damaged",
    "Nothing was run. Trying again fetches it anew; if that does not help, the copy on the server is damaged.",
  ],
  unreachable: ["The model is not here yet", "It is needed once; after that the app works without a connection."],
  unsupported: ["The model cannot run here", ""],
};

export function showFailure(error) {
  const [title, next] = FAILURES[error.kind] ?? ["Something went wrong", ""];
  element("failure-title").textContent = title;
  element("failure-text").textContent = `${error.message}.`;
  element("failure-next").textContent = next;
  element("failure").dataset.kind = error.kind ?? "defect";
  show("failure");
  element("failure-title").focus();
}

/** Buttons with texts to try, if there are any. */
export function showExamples(examples, choose) {
  const buttons = examples.map((example) => {
    const words = example.filter((text) => text !== null).join(" | ");
    const button = make("button", { type: "button", class: "example" }, words);
    button.addEventListener("click", () => choose(example));
    return button;
  });
  element("example-buttons").replaceChildren(...buttons);
  element("examples").hidden = buttons.length === 0;
}

/** Say that the model gave no answer, and why. */
export function showUnanswered(error) {
  const words = `The model could not answer: ${error?.message ?? error}. Try again; if that does not help, reload the page.`;
  element("unanswered-text").textContent = words;
  element("unanswered").hidden = false;
  return words;
}

/** Labels with bars, the most probable first; the rest behind a summary. Where the model is not sure, it says so. */
export function showRanked(ranked, sure) {
  const [best] = ranked;
  const doubt = sure ? "" : NOT_SURE;
  showLabels(readable(best.label), ranked.slice(0, SHOWN_LABELS), ranked.slice(SHOWN_LABELS), doubt);
  return `${doubt}${readable(best.label)}, ${percent(best.probability)}`;
}

/** Say what is missing before labels of one's own can be judged. */
export function showNeed(words) {
  element("result").replaceChildren(make("p", { class: "quiet" }, words));
  return words;
}

/** The labels of a text's set with bars, of which there may be none; all others behind a summary. */
export function showSet(set) {
  const found = set.filter(({ answered }) => answered);
  showLabels(
    found.map(({ label }) => readable(label)).join(", ") || NO_LABELS,
    found,
    set.filter(({ answered }) => !answered),
  );
  return found.map(({ label, probability }) => `${readable(label)}, ${percent(probability)}`).join("; ") || NO_LABELS;
}

/** A score with its name. */
export function showScore({ label, value }) {
  const words = `${readable(label)}: ${value.toFixed(SCORE_DECIMALS)}`;
  element("result").replaceChildren(make("p", { class: "headline" }, make("strong", {}, words)));
  return words;
}

/** Texts in order with their scores, the best first. */
export function showOrder(found) {
  const items = found.map(({ text, score }) =>
    make(
      "li",
      {},
      make("span", { class: "found" }, text),
      make("span", { class: "share" }, score.toFixed(SCORE_DECIMALS)),
    ),
  );
  element("result").replaceChildren(make("ol", { class: "order" }, ...items));
  const [best] = found;
  return `${best.text}, ${best.score.toFixed(SCORE_DECIMALS)}; first of ${found.length}`;
}

function showLabels(headline, shown, others, before = "") {
  const parts = [make("p", { class: "headline" }, before, make("strong", {}, headline))];
  if (shown.length > 0) parts.push(list(shown));
  if (others.length > 0) {
    const summary = make("summary", {}, `All ${shown.length + others.length} labels`);
    const rest = make("details", { class: "rest" }, summary, list(others));
    rest.open = element("result").querySelector(".rest")?.open ?? false;
    parts.push(rest);
  }
  element("result").replaceChildren(...parts);
}

function list(ranked) {
  return make("ol", { class: "labels" }, ...ranked.map(bar));
}

function bar({ label, probability }) {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${100 * probability}%`;
  return make(
    "li",
    {},
    make("span", { class: "label" }, readable(label)),
    make("span", { class: "share" }, percent(probability)),
    make("span", { class: "track", "aria-hidden": "true" }, fill),
  );
}

/** The text with its entities marked, and the entities as a list. */
export function showEntities(text, found) {
  const types = [...new Set(found.map(({ type }) => type))];
  const colour = (type) => `colour-${types.indexOf(type) % COLOURS}`;
  const parts = [];
  let at = 0;
  for (const { type, start, end } of found) {
    parts.push(text.slice(at, start));
    parts.push(
      make("mark", { class: colour(type) }, text.slice(start, end), make("span", { class: "type" }, readable(type))),
    );
    at = end;
  }
  parts.push(text.slice(at));
  const items = found.map(({ type, start, end, probability }) =>
    make(
      "li",
      {},
      make("span", { class: `swatch ${colour(type)}`, "aria-hidden": "true" }),
      make("span", { class: "label" }, readable(type)),
      make("span", { class: "what" }, text.slice(start, end)),
      make("span", { class: "share" }, percent(probability)),
    ),
  );
  const none = make("p", { class: "quiet" }, "Nothing found in this text.");
  element("result").replaceChildren(
    make("p", { class: "marked" }, ...parts),
    found.length > 0 ? make("ul", { class: "entities" }, ...items) : none,
  );
  return found.length > 0
    ? found.map(({ type, start, end }) => `${readable(type)}: ${text.slice(start, end)}`).join("; ")
    : "nothing found";
}

/** What the manifest says, for people. */
export function showFacts({ task, labels, activation, vectorSize, maxLength, model, tokenizer, document: d }, stored) {
  const artifact = d.metrics?.artifact;
  const answers = activation === null ? `${labels.length} labels` : `the score ${readable(labels[0])}`;
  const facts = {
    Task: vectorSize === null ? `${task.replace("-", " ")}, ${answers}` : `search, vectors of ${vectorSize}`,
    "Model and tokenizer": `${megabytes(model.bytes + tokenizer.bytes)} MB${stored ? "" : "; no room to keep it"}`,
    "Longest text": `${maxLength} tokens`,
    Measured: artifact
      ? `${artifact.name.replaceAll("_", " ")} ${artifact.value.toFixed(3)} on ${artifact.n} examples`
      : "not",
    "Learnt from": d.teacher?.name ?? "unknown",
    Verified: "sha256 at first, size at each start",
    "Made by": `edgepack ${d.edgepack_version ?? ""}`,
  };
  element("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
}
