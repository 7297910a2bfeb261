"""What a build is asked for, opened and checked before anything is spent on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgepack.build.before_training import app_warnings, target_warnings
from edgepack.build.recipe import NEW_BODY, Recipe, find_recipe, recipe_record, used_recipe
from edgepack.build.recipe_check import check_recipe, warn_without_text
from edgepack.build.tag_scheme import tell_scheme
from edgepack.build.thresholds import hold_out, with_thresholds
from edgepack.bundle.places import recorded_place
from edgepack.bundle.verdict import MAX_DROP
from edgepack.compress.vocabulary import can_trim, choose_ids, general_order, required_ids, trim_tokenizer
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.inference import predict
from edgepack.machine.memory import return_free_memory
from edgepack.plan.losses import embedding_spectrum
from edgepack.plan.space import SearchSpace, Vocabulary
from edgepack.student.from_table import OwnTeacher, student_from_table, table_config
from edgepack.student.from_teacher import student_from_teacher
from edgepack.student.model import Student
from edgepack.target import Target, load_target
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Columns, Dataset, infer_problem, infer_task, read_both, show_notes
from edgepack.task.intervals import Interval, metric_interval
from edgepack.task.schemes import SchemeName
from edgepack.task.tokenize import encode, shorten, suggest_max_length
from edgepack.teacher import (
    OwnModel,
    Teacher,
    check_sides,
    check_teacher,
    check_tokenizer,
    check_unknown,
    count_answers,
    label_problem,
    load_teacher,
)
from edgepack.tokenizer.asset import asset_bytes
from edgepack.tokenizer.library import encode_texts
from edgepack.train.processes import find_device

log = logging.getLogger(__name__)

DISK_BUDGET = 8_000_000_000  # bytes of the teacher's outputs: still page cache on a machine of ordinary size
GOLDEN_TEXTS = 64  # of the task's own sentences
HELD_OUT = 10  # every tenth training example measures how many tokens a trimmed vocabulary would lack
VOCABULARY_STEPS = (12_000, 16_000, 20_000, 24_000)
LEAST_SAMPLE, MOST_SAMPLE, SAMPLE_PER_LABEL = 500, 3_000, 20  # training examples that the teacher is asked
TASK_SHARE = 0.3  # a task's new texts differ from its training data less than general text does


@dataclass(frozen=True)
class BuildRequest:
    """A build as the user asked for it."""

    teacher: str
    train: str
    evaluation: str
    budget_bytes: int
    targets: tuple[str, ...]
    output: Path
    task: str | None = None
    tag_scheme: SchemeName | None = None
    columns: Columns = field(default_factory=Columns)
    max_drop: float = MAX_DROP
    effort: str = "standard"  # the recipe's name: a built-in one, or of the file that `recipe` was read from
    seed: int = 0
    device: str = "auto"
    raw_text: Path | None = None
    max_length: int | None = None
    allow_untrained: bool = False
    fresh: bool = False
    recipe: Recipe | None = None  # None: the one called `effort`
    timed: bool = True  # whether artifacts are timed against the teacher
    disk_budget: int = DISK_BUDGET
    keep_states: bool = False  # leave the teacher's hidden states, gigabytes, in the folder of a finished build

    @property
    def chosen_recipe(self) -> Recipe:
        """The settings to train by."""
        return self.recipe or find_recipe(self.effort)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything opened: the teacher, the data in its tokens, its answers on the evaluation set."""

    request: BuildRequest
    targets: tuple[Target, ...]
    teacher: Teacher
    train_sha256: str  # of the data; its texts are gone once they are tokens
    evaluation_data: Dataset
    max_length: int
    train: Encoded
    evaluation: Encoded
    teacher_logits: np.ndarray
    teacher_metric: Interval
    token_counts: np.ndarray  # (vocabulary,): uses in the training data
    held_out: Encoded | None = None  # training examples that thresholds of label sets are found on

    @property
    def recipe(self) -> Recipe:
        """The settings to train by."""
        return used_recipe(self.request.chosen_recipe, self.request.raw_text, self.teacher.is_carved)

    @property
    def start(self) -> str | None:
        """What the student begins as where nothing of the teacher's layers can be carved; None where it is carved."""
        if self.teacher.is_carved:
            return None
        return (
            f"the student starts from the teacher's word table with a new, random body, since layers of a "
            f"{self.teacher.family} cannot be carved; it sees {NEW_BODY:g} times the examples, and its score is less "
            "certain: of two that were measured one lost nothing to its teacher, one 0.5 points (docs/plan.md)"
        )

    def load_full_student(self) -> Student:
        """The teacher as a student of its own shape, loaded anew: drop it when its work is done.

        Of a teacher that is not carved, its word table with a new body.
        """
        model = self.teacher.load_model()
        if isinstance(model, OwnModel):
            student = student_from_table(model, self.teacher, self.max_length, self.request.seed)
        else:
            student = student_from_teacher(model, self.teacher.task.name)
        return_free_memory()  # the checkpoint's own tensors
        return student

    def load_runner(self) -> Student | OwnTeacher:
        """What answers as the teacher: a student of its own shape, or its own model where it is not carved."""
        if self.teacher.is_carved:
            return self.load_full_student()
        model = self.teacher.load_model()
        assert isinstance(model, OwnModel)
        return OwnTeacher(model, table_config(model, self.teacher, self.max_length))


def open_inputs(
    request: BuildRequest, console: Console, compare: Callable[[dict[str, str]], None] | None = None
) -> Inputs:
    """Load and check teacher, data and targets; every mistake is one line before any long work.

    `compare` gets the sha256 of teacher, train and evaluation as soon as they are known, before the teacher runs.
    """
    return open_with_texts(request, console, compare)[0]


def open_with_texts(
    request: BuildRequest, console: Console, compare: Callable[[dict[str, str]], None] | None = None
) -> tuple[Inputs, Dataset]:
    """What `open_inputs` gives, and the training data's texts: whoever needs them soon does not read them again."""
    recipe = request.chosen_recipe
    find_device(request.device)
    targets = tuple(load_target(name) for name in dict.fromkeys(request.targets))
    if not targets:
        raise InputError("no target given; add -t NAME, see `edgepack targets`")
    found_task, pair = infer_task(request.train, request.columns)
    problem = infer_problem(request.train, request.columns)
    teacher = load_teacher(request.teacher, request.task, pair, found_task, problem, request.tag_scheme)
    console.info(teacher.describe())
    check_recipe(recipe, request.effort, teacher, targets, request.raw_text)
    warn_without_text(recipe, request.effort, request.raw_text, console)
    teacher, train_data, evaluation_data = read_data(request, teacher, console)
    found = {"teacher": teacher.sha256, "train": train_data.sha256, "evaluation": evaluation_data.sha256}
    log.debug("sha256 of the inputs: %s", found)
    if compare is not None:
        compare(found)
    show_notes(console, train_data, evaluation_data)
    data = (train_data, evaluation_data)
    with console.working("tokens"):
        train, evaluation, max_length = tokens_of(data, teacher, request.max_length)
    encoded, counts = (train, evaluation), np.bincount(train.input_ids, minlength=teacher.sizes.vocabulary)
    for warning in [*input_warnings(teacher, data, encoded, max_length), *target_warnings(targets)]:
        console.warn(warning)
    train, held_out = hold_out(train, teacher.task)
    teacher = with_thresholds(teacher, held_out)
    logits, metric = ask_teacher(request, teacher, train, evaluation, console)
    return_free_memory()
    inputs = Inputs(
        request=request,
        targets=targets,
        teacher=teacher,
        train_sha256=train_data.sha256,
        evaluation_data=evaluation_data,
        max_length=max_length,
        train=train,
        evaluation=evaluation,
        teacher_logits=logits,
        teacher_metric=metric,
        token_counts=counts,
        held_out=held_out,
    )
    return inputs, train_data


def read_data(request: BuildRequest, teacher: Teacher, console: Console) -> tuple[Teacher, Dataset, Dataset]:
    """Training and evaluation data, and the teacher with the scheme of its tags, in which they are read."""
    paths, task = (request.train, request.evaluation), teacher.task
    with console.working("read"):
        data = read_both(*paths, task, request.columns)
        if not task.is_tagging:
            return teacher, *data
        told = tell_scheme(teacher, data[1])
        if told.scheme != task.tag_scheme:
            data = read_both(*paths, told.task, request.columns)
    console.info(told.note)
    return replace(teacher, task=told.task), *data


def input_warnings(
    teacher: Teacher, data: tuple[Dataset, Dataset], encoded: tuple[Encoded, Encoded], max_length: int
) -> list[str]:
    """What a user should know of the teacher and of the training and evaluation data."""
    return [
        *teacher.notes,
        *check_tokenizer(teacher, data),
        *check_sides(teacher, data, max_length),
        *check_unknown(teacher, encoded),
        *app_warnings(teacher.tokenizer, first_texts(data[1]), max_length),
    ]


def ask_teacher(
    request: BuildRequest, teacher: Teacher, train: Encoded, evaluation: Encoded, console: Console
) -> tuple[np.ndarray, Interval]:
    """The teacher's logits on the evaluation data and its metric there; refused where it contradicts the labels.

    It answers a sample of the training data too, since nothing else shows labels that mean something else there.
    """
    task, sample = teacher.task, sample_examples(train, len(teacher.task.labels))
    model = teacher.load_model()
    with console.progress("check", len(evaluation) + len(sample)) as advance:
        logits = predict(model, evaluation, advance=advance)
        train_logits = predict(model, sample, advance=advance)
    answers = [count_answers(task, *pair) for pair in ((train_logits, sample), (logits, evaluation))]
    problem = label_problem(answers[0], answers[1], request.train)
    if problem is not None:
        if not request.allow_untrained:
            raise InputError(f"{problem}; correct the labels, or pass --allow-untrained to go on with these")
        console.warn(problem)
    check_teacher(teacher, evaluation, logits, request.allow_untrained)
    metric = metric_interval(task.statistics(logits, evaluation), task)
    console.info(f"teacher {task.metric_name} {metric.value:.4f} on {len(evaluation)} evaluation examples")
    on_train, of = task.score(train_logits, sample), "" if len(sample) == len(train) else f" of {len(train)}"
    console.info(f"teacher {task.metric_name} {on_train:.4f} on {len(sample)}{of} training examples")
    return logits, metric


def sample_examples(train: Encoded, labels: int) -> Encoded:
    """Enough training examples to tell two swapped classes from chance, drawn alike for the same data."""
    count = min(len(train), max(LEAST_SAMPLE, min(MOST_SAMPLE, SAMPLE_PER_LABEL * labels)))
    if count == len(train):
        return train
    return train.select(np.sort(np.random.default_rng(0).permutation(len(train))[:count]))


def tokens_of(data: tuple[Dataset, Dataset], teacher: Teacher, asked: int | None) -> tuple[Encoded, Encoded, int]:
    """Training and evaluation data as tokens, and the longest input: the asked one, else what the data needs."""
    limit, task, tokenizer = teacher.max_length, teacher.task, teacher.tokenizer
    if asked is not None and asked > limit:
        raise InputError(f"max length {asked}; the teacher's positions allow 8 to {limit}")
    train, evaluation = (encode(each, task, tokenizer, asked or limit) for each in data)
    if asked is not None:
        return train, evaluation, asked
    found = suggest_max_length(train, evaluation, limit)
    return shorten(train, data[0], task, tokenizer, found), evaluation, found


def request_record(request: BuildRequest) -> dict[str, Any]:
    """A request as JSON; what lies on this machine is named relative to the output folder."""
    record = asdict(replace(request, recipe=None))
    for name in ("teacher", "train", "evaluation", "raw_text"):
        if record[name] is not None:
            record[name] = recorded_place(str(record[name]), request.output)
    record["recipe"] = recipe_record(request.chosen_recipe)
    return {name: str(value) if isinstance(value, Path) else value for name, value in record.items()}


def first_texts(data: Dataset) -> list[tuple[str, str | None]]:
    """The first sentences of a data set."""
    chosen = data.examples[:GOLDEN_TEXTS]
    return [(" ".join(e.words) if e.words is not None else e.text, e.pair) for e in chosen]


def make_search_space(inputs: Inputs) -> SearchSpace:
    """What the plan may choose from, for these inputs."""
    student = inputs.load_full_student()
    counts = torch.from_numpy(inputs.token_counts)
    return SearchSpace(
        full=student.config,
        spectrum=embedding_spectrum(student.embeddings.word.weight.detach(), counts),
        vocabularies=tuple(vocabulary_choices(inputs, student.config.vocab_size, student.config.pad_token_id)),
        targets=inputs.targets,
        max_length=inputs.max_length,
        keep_types=inputs.teacher.task.pair,
        structure=inputs.request.chosen_recipe.structure,
        new_body=not inputs.teacher.is_carved,
    )


def vocabulary_choices(inputs: Inputs, table_rows: int, pad_id: int) -> list[Vocabulary]:
    """The whole vocabulary, and where tokens can go a few smaller ones, none below what training needs."""
    tokenizer = inputs.teacher.tokenizer
    if not can_trim(tokenizer):
        return [Vocabulary(None, table_rows, pad_id, len(asset_bytes(tokenizer)), 0.0)]
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
        choices.append(Vocabulary(tuple(ids), len(ids), ids.index(pad_id), asset, share))
    return choices


def text_counts(inputs: Inputs) -> np.ndarray | None:
    """How often the raw text, if there is any, uses each token."""
    path = inputs.request.raw_text
    if path is None:
        return None
    lines = [line for line in read_text_lines(path) if line.strip()]
    backend, counts = inputs.teacher.tokenizer.backend_tokenizer, np.zeros(len(inputs.token_counts), np.int64)
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
