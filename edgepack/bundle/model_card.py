"""The model card of a bundle: `README.md` with the YAML front matter that model hubs read.

The front matter is JSON values, which are YAML: so no name can break out of its line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from edgepack.bundle.growth import growth_of
from edgepack.bundle.linear import card_lines
from edgepack.bundle.manifest import BundleManifest, TeacherRecord, task_of
from edgepack.bundle.verdict import Verdict
from edgepack.errors import bare
from edgepack.target import Target
from edgepack.task.schemes import SchemeName
from edgepack.task.similarity import NO_PROMPTS
from edgepack.task.task import Task
from edgepack.task.windows import Longest, Windows

SOMETIMES = {"- Prompts", "- Tag scheme"}  # subjects of lines that not every card has


def model_card(task: Task, teacher: TeacherRecord, target: Target, verdict: Verdict, longest: Longest) -> str:
    """Markdown: what the model is, where it comes from, how close it stays, how to feed it."""
    lines = [
        *card_head(task, teacher, target),
        "",
        title(teacher, target),
        "",
        origin(task, teacher),
        "",
        shipped(verdict),
        f"- With it {growth_of(target, verdict.shipped_bytes).describe()}.",
        f"- Runtime: {target.runtime} {target.runtime_min_version} or newer.",
        *inputs(task, longest),
        *tags(task.tag_scheme),
        *sure(verdict.temperature, verdict.min_confidence),
        "",
        "| model | metric | value | 95 % interval | examples |",
        "|---|---|---|---|---|",
        *figures(verdict),
    ]
    lines += ["", "## Ask it", "", "In this folder, with edgepack and the runtime installed:", ""]
    lines += ["```bash", predict_command(".", task.pair), "```"]
    lines += ["", "## Checks", "", "| check | status | why |", "|---|---|---|"]
    lines += check_rows(verdict)
    lines += [
        "",
        "## Limits",
        "",
        f"The figures hold for the evaluation examples above and say nothing of other data. The student learnt from "
        f"`{teacher.name}` and has its biases.",
        "",
    ]
    return "\n".join(lines)


def predict_command(folder: str, pair: bool) -> str:
    """The line that asks the bundle in `folder` on a computer."""
    texts = ("a text", "its pair") if pair else ("a text",)
    return " ".join(["edgepack predict", folder, *(f'"{text}"' for text in texts)])


def card_head(task: Task, teacher: TeacherRecord, target: Target) -> list[str]:
    """The front matter between its two marks."""
    tagged = [f"library_name: {json.dumps('edgepack')}"]
    tagged += [f"tags: {json.dumps(['edgepack', target.device, target.runtime])}"]
    return ["---", *front_matter(task, teacher), *tagged, "---"]


def check_rows(verdict: Verdict) -> list[str]:
    """What the verdict's checks say, a row each."""
    return [f"| {c.name} | {c.status.replace('_', ' ')} | {c.reason.replace('|', '/')} |" for c in verdict.checks]


def front_matter(task: Task, teacher: TeacherRecord) -> list[str]:
    """What model hubs index."""
    values = {"license": teacher.licence, "base_model": teacher.name, "pipeline_tag": task.name}
    return [f"{key}: {json.dumps(value)}" for key, value in values.items() if value is not None]


def origin(task: Task, teacher: TeacherRecord) -> str:
    """Which teacher the model comes from."""
    return (
        f"A {task.name} model of {task.described} that edgepack distilled from `{teacher.name}` "
        f"(sha256 `{teacher.sha256[:16]}…`, licence: {teacher.licence or 'unknown'})."
    )


def inputs(task: Task, longest: Longest) -> list[str]:
    """How to feed it, and what it answers."""
    reads = f"longer texts in {longest.describe()}" if isinstance(longest, Windows) else f"at most {longest} tokens"
    lines = [f"- Input: {'a pair of texts' if task.pair else 'one text'}, {reads}."]
    if task.embeds:
        return [*lines, "- Answer: a vector; texts of like meaning have vectors with a large cosine.", *prompts(task)]
    lines.append(answered(task))
    if task.chain is not None:
        lines.append(
            f"- The tags of a text are decided together, by the {len(task.chain.pairs):,} pairs of tags in "
            "`edgepack.json` (`chain`); the figures below are with it."
        )
    if task.is_multi_label:
        limits = ", ".join(f"{name} {limit:.4g}" for name, limit in zip(task.labels, task.thresholds, strict=False))
        lines.append(f"- A text has each label whose sigmoid is at least its threshold, perhaps none: {limits}.")
    return lines


def prompts(task: Task) -> list[str]:
    """What a search writes before its query and before each text, as JSON."""
    if task.prompts == NO_PROMPTS:
        return []
    query, text = json.dumps(task.prompts.query), json.dumps(task.prompts.text)
    return [f"- Prompts: {query} before a search's query, {text} before each text."]


def answered(task: Task) -> str:
    """What it answers: labels, or the score with how an app gets it from the logit."""
    if not task.is_score:
        return f"- Labels: {', '.join(task.labels)}."
    how = "the sigmoid of the logit" if task.activation == "sigmoid" else "the logit as it is"
    more = "; a query's candidates are ranked by it, the highest first" if task.ranks else ""
    return f"- Score: {task.labels[0]}, {how}{more}."


def tags(scheme: SchemeName | None) -> list[str]:
    """What the labels mean as tags of words."""
    return [] if scheme is None else [f"- Tag scheme: {scheme}."]


def sure(temperature: float | None, min_confidence: float | None) -> list[str]:
    """When it answers."""
    if min_confidence is None:
        return []
    return [f"- Not sure below a probability of {min_confidence:.4g}, of logits divided by {temperature or 1:.4g}."]


def title(teacher: TeacherRecord, target: Target) -> str:
    """The card's heading."""
    return f"# {teacher.name} for {target.title}"


def shipped(verdict: Verdict) -> str:
    """The line on bytes."""
    budget = f"{verdict.budget_bytes:,} allowed (model and tokenizer asset)"
    return f"- Shipped: {verdict.shipped_bytes:,} bytes of {budget}."


def figures(verdict: Verdict) -> list[str]:
    """The metric's rows, retention and the linear model where there are these."""
    lines = [
        f"| {name} | {m.name} | {m.value:.4f} | {m.low:.4f} to {m.high:.4f} | {m.n} |"
        for name, m in verdict.metrics.items()
    ]
    if verdict.retention is not None:
        r = verdict.retention
        lines += ["", f"Retention: {r.value:.4f} (95 % paired bootstrap: {r.low:.4f} to {r.high:.4f})."]
    if verdict.linear is not None:
        lines += ["", *card_lines(verdict.linear, verdict.metrics.get("artifact"))]
    return lines


def card_facts(manifest: BundleManifest, verdict: Verdict, target: Target) -> list[str]:
    """The lines that a bundle's card must have word for word: names, licence, labels, bytes, figures and checks."""
    task, teacher = task_of(manifest), manifest.teacher
    facts = [*front_matter(task, teacher), title(teacher, target), origin(task, teacher), shipped(verdict)]
    facts += [*inputs(task, manifest.longest), *tags(manifest.tag_scheme)]
    facts += [*sure(manifest.temperature, manifest.min_confidence), *figures(verdict), *check_rows(verdict)]
    facts += [predict_command(".", task.pair)]
    return [line for fact in facts if fact for line in fact.splitlines()]


def card_faults(lines: Sequence[str], manifest: BundleManifest, verdict: Verdict, target: Target) -> list[str]:
    """Facts that a card does not have, another front matter than edgepack writes, and lines that claim otherwise."""
    facts = card_facts(manifest, verdict, target)
    faults = [f"does not say: {bare(fact)}" for fact in facts if fact not in lines]
    head = card_head(task_of(manifest), manifest.teacher, target)
    if list(lines[: len(head)]) != head:
        faults.append("its front matter is not the manifest's")
    subjects = {subject_of(fact) for fact in facts} - {""} | SOMETIMES
    return faults + [f"says too: {bare(line)}" for line in lines if subject_of(line) in subjects and line not in facts]


def subject_of(line: str) -> str:
    """What a fact is about: the first cells of a row, or all before the first colon of an item; "" of other lines."""
    if line.startswith("| "):
        return line.split(" | ")[0]
    return line.partition(":")[0] if line.startswith("- ") or line.startswith("Retention:") else ""
