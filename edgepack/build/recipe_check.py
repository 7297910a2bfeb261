"""What a recipe asks of this teacher, task and targets, compared before anything is spent.

First by what is known when the teacher is opened, then by the planned shape: some losses need a second layer, or as
many numbers as they have relation heads. An error names the recipe and the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from edgepack.build.recipe_settings import GENERAL, Recipe
from edgepack.compress.distil.attention_maps import AttentionTransfer
from edgepack.compress.distil.feature_maps import FeatureMaps
from edgepack.compress.distil.objective import NAMES
from edgepack.compress.distil.output_space import OutputSpace
from edgepack.compress.distil.patience import Patience
from edgepack.compress.distil.relations import Relations
from edgepack.compress.distil.signals import Loss
from edgepack.compress.distil.soft_targets import HardLabels, SoftTargets
from edgepack.compress.distil.vectors import Anchors
from edgepack.compress.sharing import least_layers
from edgepack.compress.vocabulary import why_whole
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.plan.mixed_widths import check_mixed_widths
from edgepack.plan.space import Structure
from edgepack.student.config import StudentConfig
from edgepack.student.wide import may_be_wide
from edgepack.target import Target
from edgepack.task.similarity import EMBEDS
from edgepack.task.task import Task
from edgepack.teacher import Teacher


def named(recipe: str) -> str:
    """A recipe's name as messages begin."""
    return recipe if recipe.lower().endswith(".toml") else f"recipe {recipe}"


def check_recipe(
    recipe: Recipe,
    name: str,
    teacher: Teacher,
    targets: Sequence[Target],
    raw_text: Path | None = None,
    student_tokenizer: str | None = None,
) -> None:
    """`InputError` for what the teacher, its task, the targets or a student with another tokenizer cannot serve."""
    where, sizes = named(name), teacher.sizes
    _check_signals(recipe, where, teacher, raw_text)
    if student_tokenizer is not None:
        _check_other_tokens(recipe, where, raw_text)
    for key, loss in recipe.losses():
        _check_task(loss, f"{where}: {key}", teacher)
        _check_layers(loss, f"{where}: {key}", sizes.layers, sizes.hidden_size, "teacher")
    _check_map(recipe, where, raw_text)
    _check_structure(recipe.structure, where, teacher, targets)
    if recipe.general is not None and recipe.general.masked_words and teacher.tokenizer.mask_token_id is None:
        raise InputError(f"{where}: general.masked_words needs a mask token and the tokenizer has none; set it to 0")
    if recipe.mixed_widths:
        try:
            check_mixed_widths(targets)
        except InputError as e:
            raise InputError(f"{where}: mixed_widths: {e}") from e


def check_vocabulary(recipe: Recipe, name: str, tokenizer: PreTrainedTokenizerFast, raw_text: Path | None) -> None:
    """`InputError` for what is asked of a vocabulary, or of raw text, and would do nothing.

    `tokenizer`: the student's.
    """
    vocabulary, unread = recipe.structure.vocabulary, raw_text is not None and recipe.general is None
    if vocabulary != "task" and not unread:
        return
    whole = why_whole(tokenizer)
    if vocabulary == "task" and whole is not None:
        raise InputError(f"{named(name)}: structure.vocabulary is 'task', and {whole}; allowed: free, whole")
    if unread and (vocabulary != "free" or whole is not None):
        reason = f"structure.vocabulary is {vocabulary!r}" if whole is None else whole
        raise InputError(
            f"--raw-text {raw_text}: {named(name)} has no stage on it (general = false), and it decides no tokens "
            f"({reason}); leave it out"
        )


def _check_map(recipe: Recipe, where: str, raw_text: Path | None) -> None:
    """`InputError` for a map of layers that nothing in the training looks at."""
    if recipe.layer_map in ("carved", "learned") or recipe.module_replacing is not None:
        return
    losses = recipe.losses() if raw_text is not None else recipe.task_losses()
    if not any(loss.follows_map for _, loss in losses):
        raise InputError(
            f"{where}: layer_map is {recipe.layer_map!r}, and no loss compares the layers that it pairs; leave it out, "
            "or add such a loss (hidden_states)"
        )


def _check_structure(structure: Structure, where: str, teacher: Teacher, targets: Sequence[Target]) -> None:
    """`InputError` for a structure that no student of this teacher has on these targets."""
    sizes = teacher.sizes
    _check_beside(structure, where, teacher)
    needed = least_layers(structure.sharing)
    if sizes.layers < needed:
        raise InputError(
            f"{where}: structure.sharing is {structure.sharing!r}, which {needed} layers or more can do; the teacher "
            f"has {sizes.layers}, allowed: none"
        )
    if structure.hidden_size > sizes.hidden_size:
        raise InputError(
            f"{where}: structure.hidden_size is {structure.hidden_size}; the teacher's is {sizes.hidden_size}, "
            "allowed: 1 to that, or 0"
        )
    names = ("embedding_size", "input_embedding_size")
    own_table = next((int(size) for name in names if (size := getattr(teacher.config, name, None))), sizes.hidden_size)
    if structure.embedding != "linear" and own_table != sizes.hidden_size:
        raise InputError(
            f"{where}: structure.embedding is {structure.embedding!r}, and the teacher's table has a size of its own, "
            f"{own_table}; allowed: linear"
        )
    if structure.embedding_kernel > 1 and own_table != sizes.hidden_size:
        raise InputError(
            f"{where}: structure.embedding_kernel is {structure.embedding_kernel}, and the teacher's table has a size "
            f"of its own, {own_table}; allowed: 1"
        )
    for key, bits in (("body_bits", structure.body_bits), ("embedding_bits", structure.embedding_bits)):
        for target in targets:
            if bits and bits not in getattr(target, key):
                allowed = ", ".join(map(str, sorted(getattr(target, key))))
                raise InputError(f"{where}: structure.{key} is {bits}; {target.name} runs {allowed}")


def _check_beside(structure: Structure, where: str, teacher: Teacher) -> None:
    """`InputError` for a table beside an encoder that can have none, and for a mark of matches where none can be."""
    if not structure.match_feature and not teacher.task.pair:
        raise InputError(
            f"{where}: structure.match_feature is false, and this teacher takes single texts, which have no such "
            "feature; leave it out"
        )
    if structure.asks_for_table and not may_be_wide(teacher.task):
        raise InputError(
            f"{where}: structure.wide_rows is {structure.wide_rows}, and a table beside the encoder goes with one "
            "label for each text, which this teacher does not give; leave it out"
        )


def _check_signals(recipe: Recipe, where: str, teacher: Teacher, raw_text: Path | None) -> None:
    """`InputError` for a loss that needs what the own model of a teacher that is not carved does not give."""
    behaviour, family, layers = teacher.behaviour, teacher.family, teacher.sizes.layers
    if behaviour is None:
        return
    way = "allowed: losses of predictions" + (
        " and hidden states" if behaviour.states else "; try --recipe soft-targets"
    )
    for key, loss in recipe.losses():
        if key.startswith("general") and raw_text is None:  # a stage that is left out
            continue
        what = f"{where}: {key} is {NAMES[type(loss)]}"
        if loss.needs_vectors:
            raise InputError(f"{what}, and queries, keys and values of a {family} are not read; {way}")
        if not behaviour.states and loss.states_needed(range(layers), layers):
            raise InputError(f"{what}, and a {family} gives no hidden states of one size after every layer; {way}")
    if recipe.module_replacing is not None:
        raise InputError(
            f"{where}: module_replacing runs the teacher's layers, and those of a {family} cannot be cut out"
        )


def _check_other_tokens(recipe: Recipe, where: str, raw_text: Path | None) -> None:
    """`InputError` for what compares tokens with one another: the teacher's are not the student's."""
    if raw_text is not None:
        raise InputError(
            f"--raw-text {raw_text}: its sequences are cut in one tokenizer's tokens, and --student-tokenizer makes it "
            "two; leave out one of them"
        )
    for key, loss in recipe.losses():
        if loss.needs_vectors and not key.startswith("general"):
            raise InputError(
                f"{where}: {key} is {NAMES[type(loss)]}, which compares each token with the others, and with "
                "--student-tokenizer the teacher's tokens are not the student's; allowed: losses of predictions and "
                "hidden states"
            )


def _check_task(loss: Loss, where: str, teacher: Teacher) -> None:
    if isinstance(loss, Anchors) and not teacher.task.embeds:
        raise InputError(f"{where}: anchors compares vectors; allowed: {EMBEDS}, not {teacher.task.name}")
    if isinstance(loss, SoftTargets) and loss.temperature != SoftTargets.temperature:
        _check_temperature(where, loss.temperature, teacher.task)
    if isinstance(loss, HardLabels) and teacher.task.embeds:
        raise InputError(f"{where}: hard_labels needs labels, and texts that are embedded have none; use soft_targets")
    if not isinstance(loss, OutputSpace):
        return
    task, labels = teacher.task.name, len(teacher.task.labels)
    if task != "text-classification":
        raise InputError(
            f"{where}: output_space compares classes of whole texts; allowed: text-classification, not {task}"
        )
    if teacher.task.is_score:
        raise InputError(f"{where}: output_space compares classes; the teacher gives one score; leave it out")
    if teacher.task.is_multi_label:
        raise InputError(
            f"{where}: output_space compares classes that exclude each other; the teacher's are label sets"
        )
    if loss.classes not in (0, labels):
        raise InputError(f"{where}.classes is {loss.classes}; the task has {labels} labels, allowed: that, or 0")


def _check_temperature(where: str, temperature: float, task: Task) -> None:
    """`InputError` where the teacher gives no probabilities that a temperature could soften."""
    if task.embeds or task.is_score:
        what = "vectors" if task.embeds else "one score"
        raise InputError(
            f"{where}: temperature is {temperature}; it softens probabilities, and the teacher gives {what}: leave it "
            "out"
        )


def check_shape(recipe: Recipe, name: str, shape: StudentConfig, budget_bytes: int) -> None:
    """`InputError` for a loss that the planned student is too small for."""
    heads = [count * size for count, size in zip(shape.num_heads or [], shape.head_sizes or [], strict=True)]
    for key, loss in recipe.losses():
        where = f"{named(name)}: {key}"
        _check_layers(loss, where, shape.num_hidden_layers, min(heads), f"student planned for {budget_bytes:,} bytes")


def _check_layers(loss: Loss, where: str, layers: int, vector: int, whose: str) -> None:
    """`vector`: numbers of all heads' queries together."""
    if isinstance(loss, Patience | OutputSpace) and layers < 2:
        raise InputError(f"{where} matches layers between the first and the last; the {whose} has {layers}, needed: 2")
    if isinstance(loss, FeatureMaps | AttentionTransfer) and loss.progressive and layers < 2:
        raise InputError(f"{where} goes layer after layer (progressive); the {whose} has {layers}, needed: 2")
    if isinstance(loss, Relations):
        if loss.relation_heads > vector:
            raise InputError(
                f"{where}.relation_heads is {loss.relation_heads}; the {whose} has vectors of {vector}, "
                "allowed: 1 to that"
            )
        if not -layers <= loss.layer < layers:
            raise InputError(
                f"{where}.layer is {loss.layer}; the {whose} has {layers} layers, allowed: {-layers} to {layers - 1}"
            )


def warn_without_text(recipe: Recipe, name: str, raw_text: Path | None, console: Console) -> None:
    """Say that a stage on raw text is left out, where the recipe has one of its own."""
    if raw_text is None and recipe.general not in (None, GENERAL):
        console.warn(f"{named(name)}: its stage on raw text is left out; give --raw-text FILE to train on it")
