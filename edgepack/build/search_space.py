"""What a plan may choose from for a build's inputs: shapes of the teacher or less, and vocabularies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edgepack.build.inputs import BuildRequest, Inputs
from edgepack.compress.vocabulary import choose_ids, general_order, required_ids, trim_tokenizer, why_whole
from edgepack.errors import InputError
from edgepack.evidence.speed_profile import SpeedProfile, known_tokens
from edgepack.plan.front import find_front
from edgepack.plan.losses import embedding_spectrum
from edgepack.plan.search import SHOWN, Plan, search
from edgepack.plan.space import SearchSpace, Vocabulary
from edgepack.plan.speed_fit import fit_memory, fit_prices
from edgepack.plan.wanted import Machine, Wanted
from edgepack.student.config import StudentConfig
from edgepack.student.wide import may_be_wide
from edgepack.target import Target
from edgepack.task.encoded import Encoded
from edgepack.tokenizer.asset import asset_bytes, separator_of
from edgepack.tokenizer.library import encode_texts

HELD_OUT = 10  # every tenth training example measures how many tokens a trimmed vocabulary would lack
VOCABULARY_STEPS = (12_000, 16_000, 20_000, 24_000)
WIDE_SHARE, LEAST_ROWS = 0.1, 32  # a wide table takes that share of the budget at most, at half a byte for a number
TASK_SHARE = 0.3  # a task's new texts differ from its training data less than general text does


def make_search_space(inputs: Inputs) -> SearchSpace:
    """What the plan may choose from, for these inputs."""
    student = inputs.load_full_student(layers=())
    counts = torch.from_numpy(inputs.token_counts)
    return SearchSpace(
        full=student.config,
        spectrum=embedding_spectrum(student.embeddings.word.weight.detach(), counts),
        vocabularies=tuple(vocabulary_choices(inputs, student.config)),
        targets=inputs.targets,
        max_length=inputs.max_length,
        keep_types=inputs.teacher.task.pair,
        structure=inputs.request.chosen_recipe.structure,
        new_body=not inputs.teacher.is_carved,
        wide_rows=planned_rows(inputs),
    )


def planned_rows(inputs: Inputs) -> int:
    """Rows of the table beside a student's encoder: the recipe's, or fewer for the budget; 0: none.

    Only examples that the teacher has not seen can tell whether it helps.
    """
    task, wanted = inputs.teacher.task, inputs.request.chosen_recipe.structure.wide_rows
    if not (inputs.unseen and may_be_wide(task)):
        return 0
    rows, used = wanted, int(np.count_nonzero(inputs.token_counts))
    while rows > used or rows * len(task.labels) / 2 > WIDE_SHARE * inputs.request.budget_bytes:
        rows //= 2
    return rows if rows >= min(LEAST_ROWS, wanted) else 0


def make_plan(request: BuildRequest, space: SearchSpace) -> Plan:
    """The candidates; with `--search` as many as are tried, of different kinds.

    Where none fits with a table beside the encoder, without one.
    """
    count, wanted = request.search, make_wanted(request, space.targets)
    try:
        plan = search(space, request.budget_bytes, wanted, count or SHOWN, kinds=count is not None)
    except InputError:
        if not space.wide_rows:
            raise
        return make_plan(request, replace(space, wide_rows=0))
    return replace(plan, front=find_front(space, plan))


def make_wanted(request: BuildRequest, targets: Sequence[Target]) -> Wanted:
    """What the plan is to look for; `InputError` where the speed profile lacks a target's runtime."""
    profile, machines = request.speed_profile, None
    if profile is not None:
        machines = {target.name: machine_of(profile, target) for target in targets}
    return Wanted(request.max_latency, request.objective, request.max_drop, machines)


def machine_of(profile: SpeedProfile, target: Target) -> Machine:
    """What a profile tells of a target's runtime."""
    found = profile.of(target)
    if found is None:
        known = ", ".join(each.runtime for each in profile.runtimes)
        raise InputError(
            f"speed profile of {profile.device}: nothing of {target.runtime}, which {target.name} runs in, but of "
            f"{known}; measure it with `edgepack profile -t {target.name}`"
        )
    models = found.timed()
    return Machine(fit_prices(models), fit_memory(models), *known_tokens(found.models))


def vocabulary_choices(inputs: Inputs, full: StudentConfig) -> list[Vocabulary]:
    """The whole vocabulary, and where tokens can go a few smaller ones, none below what training needs."""
    tokenizer, table_rows, pad_id = inputs.tokenizer, full.vocab_size, full.pad_token_id
    marks = inputs.teacher.task.pair and inputs.request.chosen_recipe.structure.match_feature
    separator = separator_of(tokenizer) if marks else None
    if why_whole(tokenizer) is not None:
        return [Vocabulary(None, table_rows, pad_id, len(asset_bytes(tokenizer)), 0.0, separator)]
    required = required_ids(tokenizer, inputs.token_counts)
    order = general_order(tokenizer, text_counts(inputs))
    size = len(required.union(order))
    choices = []
    for wanted in sorted({len(required), *(step for step in VOCABULARY_STEPS if len(required) < step < size), size}):
        ids, general = choose_ids(tokenizer, required, order, wanted)
        share = max(
            unknown_share(inputs.train, required_ids(tokenizer, np.zeros(0)).union(order[:general]), table_rows),
            TASK_SHARE * general_unknown_share(order, set(ids)),
        )
        asset = len(asset_bytes(trim_tokenizer(tokenizer, ids)))
        between = None if separator is None else ids.index(separator)
        choices.append(Vocabulary(tuple(ids), len(ids), ids.index(pad_id), asset, share, between))
    return choices


def text_counts(inputs: Inputs) -> np.ndarray | None:
    """How often the raw text, if there is any, uses each token."""
    path = inputs.request.raw_text
    if path is None:
        return None
    lines = [line for line in read_text_lines(path) if line.strip()]
    backend, counts = inputs.tokenizer.backend_tokenizer, np.zeros(len(inputs.token_counts), np.int64)
    backend.no_truncation()
    for batch in encode_texts(backend, lines, str(path), special_tokens=False):
        counts += np.bincount([i for each in batch for i in each.ids], minlength=len(counts))
    return counts


def read_text_lines(path: Path) -> list[str]:
    """The lines of a file of raw text, blank ones too: they part documents."""
    if not path.is_file():
        raise InputError(f"{path}: is no regular file; --raw-text takes a file of UTF-8 sentences, one on a line")
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"{path}: {e}; --raw-text takes a file of UTF-8 sentences, one on a line") from e
    if not any(line.strip() for line in lines):
        raise InputError(f"{path}: no text in it; --raw-text takes a file of UTF-8 sentences, one on a line")
    return lines


def general_unknown_share(order: Sequence[int], kept: set[int]) -> float:
    """Share of general text that tokens outside `kept` make up, by Zipf's law: the r-th commonest is used as 1 / r."""
    weight = 1 / np.arange(1, len(order) + 1)
    missing = np.array([number not in kept for number in order])
    return float(weight[missing].sum() / weight.sum())


def unknown_share(train: Encoded, known_anyway: set[int], table_rows: int) -> float:
    """Share of tokens in every tenth example that neither the other examples use nor `known_anyway` holds."""
    held_out = np.zeros(len(train), bool)
    held_out[::HELD_OUT] = True
    known = np.zeros(table_rows, bool)
    known[train.input_ids[train.rows(np.flatnonzero(~held_out))]] = True
    known[sorted(known_anyway)] = True
    return float(1 - known[train.input_ids[train.rows(np.flatnonzero(held_out))]].mean())
