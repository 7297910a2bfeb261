"""What a build is asked for, opened and checked before anything is spent on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from edgepack.build.before_training import target_warnings
from edgepack.build.pairing import Pairing
from edgepack.build.recipe import NEW_BODY, Recipe, find_recipe, used_recipe
from edgepack.build.recipe_check import check_recipe, check_vocabulary, warn_without_text
from edgepack.build.tag_scheme import tell_scheme
from edgepack.build.teacher_answers import ask_teacher
from edgepack.build.thresholds import with_thresholds
from edgepack.build.tokens import (
    HeldOut,
    Tokens,
    hold_out,
    input_warnings,
    outside_texts,
    said_of_long,
    tokens_of,
)
from edgepack.build.training_record import training_record
from edgepack.build.vectors import refuse_other_options, wants_vectors
from edgepack.bundle.confidence import ANSWER_RATE
from edgepack.bundle.manifest import TrainingRecord
from edgepack.bundle.verdict import MAX_DROP
from edgepack.compress.other_vocabulary import with_vocabulary
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.speed_profile import SpeedProfile
from edgepack.machine.memory import return_free_memory
from edgepack.parameters import LatencyLimit
from edgepack.plan.wanted import Objective
from edgepack.student.from_parts import student_from_parts, takes_parts
from edgepack.student.from_table import OwnTeacher, student_from_table, table_config
from edgepack.student.from_teacher import student_from_teacher, student_from_weights
from edgepack.student.model import Student
from edgepack.target import Target, load_target
from edgepack.task.encoded import Encoded
from edgepack.task.examples import Columns, Dataset, infer_problem, infer_ranking, infer_task, read_both, show_notes
from edgepack.task.intervals import Interval
from edgepack.task.read_long import LongTexts
from edgepack.task.schemes import SchemeName
from edgepack.task.similarity import EMBEDS
from edgepack.task.vector_data import read_vector_data
from edgepack.task.windows import Longest, Windows
from edgepack.teacher import (
    OwnModel,
    StudentTokenizer,
    Teacher,
    find_unseen,
    load_teacher,
    open_student_tokenizer,
)
from edgepack.train.processes import find_device
from edgepack.train.teacher_outputs import hold_in_bf16

log = logging.getLogger(__name__)

DISK_BUDGET = 8_000_000_000  # bytes of the teacher's outputs: still page cache on a machine of ordinary size


@dataclass(frozen=True)
class BuildRequest:
    """A build as the user asked for it."""

    teacher: str
    train: str
    evaluation: str | None  # None: of a build of vectors, some of the training texts
    budget_bytes: int
    targets: tuple[str, ...]
    output: Path
    task: str | None = None
    tag_scheme: SchemeName | None = None
    pooling: str | None = None  # of an encoder that is to embed and does not say how
    columns: Columns = field(default_factory=Columns)
    max_drop: float = MAX_DROP
    answer_rate: float = ANSWER_RATE
    effort: str = "standard"  # the recipe's name: a built-in one, or of the file that `recipe` was read from
    seed: int = 0
    device: str = "auto"
    raw_text: Path | None = None
    max_length: int | None = None
    long_texts: LongTexts | None = None  # None: words in windows, labelled texts cut
    allow_untrained: bool = False
    fresh: bool = False
    recipe: Recipe | None = None  # None: the one called `effort`
    timed: bool = True  # whether artifacts are timed against the teacher
    disk_budget: int = DISK_BUDGET
    student_tokenizer: str | None = None  # None: the teacher's own
    max_latency: LatencyLimit | None = None
    speed_profile: SpeedProfile | None = None  # None: the built-in figures
    objective: Objective = "loss"
    search: int | None = None  # how many candidates are trained shortly before one is chosen; None: the plan chooses
    search_jobs: int = 1  # how many of them are trained at a time, each in a process of its own
    keep_states: bool = False  # leave the teacher's hidden states, gigabytes, in the folder of a finished build

    @property
    def chosen_recipe(self) -> Recipe:
        """The settings to train by."""
        return self.recipe or find_recipe(self.effort)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything opened: the teacher, the data in tokens, its answers on the evaluation set.

    Tokens are the teacher's; with a `pairing` those of `train` and `max_length` are of the student's own tokenizer.
    """

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
    held_out: Encoded | None = None  # in the student's tokens; what decides when to answer is found on these examples
    unseen: bool = False  # the teacher was not trained on them either
    outside: Dataset | None = None  # training texts that belong to no label, where the user said which these are
    pairing: Pairing | None = None
    windows: Windows | None = None  # how evaluation texts of more than `max_length` tokens are read; None: cut
    training: TrainingRecord | None = None  # which examples `train` is of, where they have labels

    @property
    def longest(self) -> Longest:
        """How far the student reads."""
        return self.windows or self.max_length

    @property
    def teacher_longest(self) -> Longest:
        """How far the teacher reads: in windows of its own, where the student does."""
        return self.teacher_length if self.windows is None else self.teacher.task.windows(self.teacher_length)

    @property
    def uncommon(self) -> dict[str, Any]:
        """What decides every stage of a build that has it: a tokenizer of the student's own, windows."""
        tokenizer = {} if self.pairing is None else {"student_tokenizer": self.pairing.other.sha256}
        return {**tokenizer, **({} if self.windows is None else {"windows": asdict(self.windows)})}

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The student's, with its whole vocabulary."""
        return self.teacher.tokenizer if self.pairing is None else self.pairing.other.tokenizer

    @property
    def teacher_train(self) -> Encoded:
        """The training data in the teacher's tokens."""
        return self.train if self.pairing is None else self.pairing.teacher[0]

    @property
    def teacher_length(self) -> int:
        """The longest input of the teacher."""
        return self.max_length if self.pairing is None else self.teacher.max_length

    @property
    def teacher_counts(self) -> np.ndarray:
        """Uses of each of the teacher's tokens in the training data."""
        return np.bincount(self.teacher_train.input_ids, minlength=self.teacher.sizes.vocabulary)

    @property
    def recipe(self) -> Recipe:
        """The settings to train by."""
        return used_recipe(self.request.chosen_recipe, self.request.raw_text, self.teacher.is_carved)

    @property
    def start(self) -> str | None:
        """What the student begins as where the teacher's layers are not carved as they are; None where they are."""
        if self.teacher.is_carved:
            return None
        family = self.teacher.family
        if takes_parts(self.teacher.config):
            begin = (
                f"the student starts from parts of the teacher's layers, without what is a {family}'s own in its "
                "attention"
            )
        else:
            begin = (
                "the student starts from the teacher's word table with a new, random body, since layers of a "
                f"{family} cannot be carved"
            )
        return (
            f"{begin}; it sees {NEW_BODY:g} times the examples, and its score is less certain: of two that started "
            "from a word table one lost nothing to its teacher, one 0.5 points (docs/plan.md)"
        )

    def load_full_student(self, layers: Sequence[int] | None = None) -> Student:
        """The teacher as a student of its own shape, loaded anew: drop it when its work is done.

        `layers`: those to read, the others have no numbers; None: all. Of a teacher that is not carved, parts of its
        layers, or its word table with a new body. With a `pairing` the words are the student's.
        """
        student = self._own_shape(layers)
        if self.pairing is not None:
            student = with_vocabulary(student, self.pairing.rows, int(self.tokenizer.pad_token_id))
        return_free_memory()  # the checkpoint's own tensors
        return student

    def load_runner(self, bf16: bool = False) -> Student | OwnTeacher:
        """What answers as the teacher: a student of its own shape, or its own model where it is not carved.

        `bf16`: the student is to run under bf16 autocast alone.
        """
        if self.teacher.is_carved:
            student = self._own_shape()
            return_free_memory()
            return hold_in_bf16(student) if bf16 else student
        model = self.teacher.load_model()
        assert isinstance(model, OwnModel)
        return OwnTeacher(model, table_config(model, self.teacher, self.teacher_length))

    def _own_shape(self, layers: Sequence[int] | None = None) -> Student:
        """The teacher as a student with its own words."""
        teacher = self.teacher
        if teacher.is_carved and teacher.tensors.mapped and teacher.embedding is None:
            return student_from_weights(teacher.config, teacher.tensors.opened(), teacher.task.name, layers)
        model = teacher.load_model()
        if not isinstance(model, OwnModel):
            return student_from_teacher(model, teacher.task.name)
        if takes_parts(teacher.config):
            return student_from_parts(model, teacher, self.max_length)
        return student_from_table(model, teacher, self.max_length, self.request.seed)


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
        raise InputError("no target given; name one of those that `edgepack targets` lists")
    teacher = open_teacher(request)
    console.info(teacher.describe())
    check_request(request, teacher, targets)
    other = open_other_tokenizer(request, teacher)
    warn_without_text(recipe, request.effort, request.raw_text, console)
    teacher, train_data, evaluation_data = read_data(request, teacher, console)
    found = {"teacher": teacher.sha256, "train": train_data.sha256, "evaluation": evaluation_data.sha256}
    if other is not None:
        found["student_tokenizer"] = other.sha256
    log.debug("sha256 of the inputs: %s", found)
    if compare is not None:
        compare(found)
    show_notes(console, train_data, evaluation_data)
    data = (train_data, evaluation_data)
    with console.working("tokens"):
        tokens = tokens_of(data, teacher, other, request.max_length, request.long_texts)
    tell_tokens(teacher, data, tokens, targets, console)
    counts = tokens.counts(teacher)
    tokens, held_out = hold_out_examples(request, tokens, teacher, train_data, console)
    teacher = with_thresholds(teacher, None if held_out is None else held_out.tokens.teacher_train)
    logits, metric = ask_teacher(teacher, tokens, request.train, request.allow_untrained, console)
    return_free_memory()
    return Inputs(
        request=request,
        targets=targets,
        teacher=teacher,
        train_sha256=train_data.sha256,
        evaluation_data=evaluation_data,
        max_length=tokens.max_length,
        train=tokens.train,
        evaluation=teacher.task.referenced(tokens.evaluation, logits),
        teacher_logits=logits,
        teacher_metric=metric,
        token_counts=counts,
        held_out=None if held_out is None else held_out.tokens.train,
        unseen=held_out is not None and held_out.unseen,
        outside=outside_texts(train_data, held_out is not None),
        pairing=tokens.pairing,
        windows=tokens.windows,
        training=training_record(train_data, evaluation_data, teacher.task),
    ), train_data


def hold_out_examples(
    request: BuildRequest, tokens: Tokens, teacher: Teacher, data: Dataset, console: Console
) -> tuple[Tokens, HeldOut | None]:
    """The tokens to train on, and what is held out: examples new to the teacher too, if its folder names enough."""
    rest, held_out = hold_out(tokens, teacher.task, find_unseen(teacher.checkpoint.folder, data.examples))
    unseen = held_out is not None and held_out.unseen
    if unseen:
        count = len(tokens.train) - len(rest.train)
        console.info(f"{count:,} training examples that the teacher was not trained on are held out")
    elif request.chosen_recipe.structure.asks_for_table:
        console.warn(
            f"no wide table, which the recipe asks for: {teacher.name} does not name enough examples that it was not "
            "trained on, as teachers of `edgepack finetune` do"
        )
    return rest.for_training(), held_out


def tell_tokens(
    teacher: Teacher, data: tuple[Dataset, Dataset], tokens: Tokens, targets: Sequence[Target], console: Console
) -> None:
    """Print what a user should know of data, tokenizers and targets; `InputError` where the build could not be used."""
    for warning in [*input_warnings(teacher, data, tokens), *target_warnings(targets)]:
        console.warn(warning)
    pairing = None if tokens.pairing is None else tokens.pairing.describe()
    for said in (said_of_long(tokens, teacher.task), pairing):
        if said is not None:
            console.info(said)


def open_teacher(request: BuildRequest) -> Teacher:
    """The teacher, checked; where its config says nothing of its task, the training data do."""
    if wants_vectors(request.task, request.teacher, request.train, request.columns):
        refuse_other_options(request.tag_scheme, request.long_texts, request.columns)
        return load_teacher(request.teacher, EMBEDS, pooling=request.pooling)
    if request.pooling is not None:
        raise InputError(
            f"--pooling {request.pooling} goes with --task {EMBEDS}; this teacher has its own head: leave it out"
        )
    if request.evaluation is None:
        raise InputError(f"there is no --eval; only teachers of {EMBEDS} can do without: give held-out data")
    task, pair = infer_task(request.train, request.columns)
    problem = infer_problem(request.train, request.columns)
    teacher = load_teacher(request.teacher, request.task, pair, task, problem, request.tag_scheme)
    ranks = teacher.task.is_score and infer_ranking(request.train, request.columns)
    return replace(teacher, task=replace(teacher.task, ranks=ranks)) if ranks else teacher


def open_other_tokenizer(request: BuildRequest, teacher: Teacher) -> StudentTokenizer | None:
    """The student's own tokenizer, where it has one; `InputError` for a recipe that the student's cannot serve."""
    other = open_student_tokenizer(request.student_tokenizer, teacher) if request.student_tokenizer else None
    check_vocabulary(request.chosen_recipe, request.effort, (other or teacher).tokenizer, request.raw_text)
    return other


def read_data(request: BuildRequest, teacher: Teacher, console: Console) -> tuple[Teacher, Dataset, Dataset]:
    """Training and evaluation data, and the teacher with the scheme of its tags, which the data help to tell."""
    if teacher.task.embeds:
        with console.working("read"):
            task, train, evaluation = read_vector_data(request.train, request.evaluation, teacher.task, request.columns)
        return replace(teacher, task=task), train, evaluation
    assert request.evaluation is not None, "asked for when the teacher is opened"
    with console.working("read"):
        train, evaluation = read_both(request.train, request.evaluation, teacher.task, request.columns)
    if not teacher.task.is_tagging:
        return teacher, train, evaluation
    told = tell_scheme(teacher, evaluation)
    console.info(told.note)
    if told.scheme != teacher.task.tag_scheme:
        train, evaluation = read_both(request.train, request.evaluation, told.task, request.columns)
    return replace(teacher, task=told.task), train, evaluation


def check_request(request: BuildRequest, teacher: Teacher, targets: Sequence[Target]) -> None:
    """`InputError` for a recipe that cannot train what is asked for."""
    recipe, name = request.chosen_recipe, request.effort
    if request.answer_rate != ANSWER_RATE and not teacher.task.may_be_unsure:
        raise InputError(
            f"--answer-rate is {request.answer_rate:g}: it decides when an app says 'not sure', and that goes with one "
            "label for each text; leave it out"
        )
    check_recipe(recipe, name, teacher, targets, request.raw_text, request.student_tokenizer)
