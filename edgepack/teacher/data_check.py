"""A teacher compared with data: is it trained, does its tokenizer know the texts, do the labels mean the same.

Nothing but data can show these. Evaluation data shows a teacher that was never trained. Both kinds of data show a
vocabulary that has no words for the texts, and a folder whose files name two tokenizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from edgepack.errors import InputError, shown
from edgepack.task.encoded import IGNORED, Encoded
from edgepack.task.examples import Dataset
from edgepack.teacher.label_check import log_tail
from edgepack.teacher.load import Teacher
from edgepack.teacher.score_check import least_correlation
from edgepack.tokenizer.library import encode_texts

CHANCE = 0.05  # of a teacher that is as good as a constant answer to look better
MIN_ENTITY_F1 = 0.05  # there is no majority class of entities; an untrained tagger stays below this
SAMPLE = 2_000  # texts that two tokenizers are compared on
MOST_UNKNOWN, MANY_UNKNOWN = 0.5, 0.1  # shares of the data's tokens


@dataclass(frozen=True)
class TeacherCheck:
    """The teacher's metric on `n` evaluation examples, and what it had to beat; `doubt`: that it may be by chance."""

    metric: float
    majority: float
    n: int
    doubt: str = ""


def check_teacher(
    teacher: Teacher, evaluation: Encoded, logits: np.ndarray, allow_untrained: bool = False
) -> TeacherCheck:
    """Refuse a teacher that is no better than always the most frequent class, labels or score (entity F1: 0.05)."""
    task = teacher.task
    _check_answers(teacher, logits)
    metric = task.score(logits, evaluation)
    majority, rival = MIN_ENTITY_F1, "the least accepted is"
    if task.scoring.correlates and not task.embeds:
        majority = least_correlation(len(evaluation))
    elif task.is_score:
        majority, rival = task.metric(task.constant_statistics(evaluation)), "the same score for every text gives"
    elif not task.finds_entities:
        sets = task.is_multi_label or task.embeds
        rival = (
            f"the same {'vector' if task.embeds else 'labels'} for every text give"
            if sets
            else "the most frequent class alone gives"
        )
        majority = task.metric(task.constant_statistics(evaluation))
        if majority == 1.0 and not sets and not allow_untrained:
            only = task.labels[int(evaluation.labels[evaluation.scored][0])]
            raise InputError(
                f"all {len(evaluation)} evaluation examples have one label, {shown(only)}, so they cannot show how "
                "good the teacher is; give evaluation data with examples of every class"
            )
    if metric <= majority and not allow_untrained:
        raise InputError(
            f"teacher {teacher.name}: {task.metric_name} {metric:.4f} on {len(evaluation)} evaluation examples, "
            f"{rival} {majority:.4f}; check the order of the data's labels, its tokenizer and its weights, "
            "fine-tune it, or pass --allow-untrained"
        )
    doubt = ""
    if not (task.is_score or task.is_multi_label or task.finds_entities or allow_untrained):
        doubt = _doubt(task.statistics(logits, evaluation), task.constant_statistics(evaluation))
        said = f"teacher {teacher.name}: {task.metric_name} {metric:.4f} on {len(evaluation)} evaluation examples"
        doubt = doubt and f"{said} {doubt}, {majority:.4f}: are these its labels, its tokenizer, its weights?"
    return TeacherCheck(metric, majority, len(evaluation), doubt)


def _check_answers(teacher: Teacher, logits: np.ndarray) -> None:
    """`InputError` where an answer is no number: neither its training nor the labels are what is wrong."""
    broken = int((~np.isfinite(logits)).any(axis=-1).sum())
    if broken:
        of = "words" if teacher.task.is_tagging else "examples"
        raise InputError(
            f"teacher {teacher.name}: its answers to {broken} of {len(logits)} evaluation {of} are not finite (NaN or "
            "infinite): its weights overflow, or a setting of config.json is not the training's, as layer_norm_eps; "
            "give the checkpoint that was evaluated"
        )


def _doubt(answered: np.ndarray, constant: np.ndarray) -> str:
    """That examples right by the teacher alone are hardly more than those right by the constant alone (sign test)."""
    alone = answered[:, 0] - constant[:, 0]
    won, lost = int((alone > 0).sum()), int((alone < 0).sum())
    return "" if log_tail(won, won + lost) < log(CHANCE) else "may be no better than the most frequent class alone"


def check_sides(teacher: Teacher, data: Sequence[Dataset], max_length: int) -> list[str]:
    """Warnings where the teacher cuts or pads on the left; `InputError` where a text of the data would be cut there."""
    notes = []
    if teacher.truncation_side == "left":
        texts = _texts(data)
        backend = teacher.tokenizer.backend_tokenizer
        cut = sum(len(ids) > max_length for ids in _ids(backend, texts))
        rule = "truncation_side is left: the teacher cuts long texts at their beginning, apps at their end"
        if cut:
            raise InputError(
                f"teacher {teacher.name}: {rule}, and {cut} of {len(texts)} texts have more than {max_length} tokens; "
                "shorten them, or set truncation_side to right in tokenizer_config.json and see whether the teacher "
                "is still good"
            )
        notes.append(f"{rule}; no text of the data is cut at {max_length} tokens")
    if teacher.padding_side == "left":
        notes.append("padding_side is left: edgepack and apps pad on the right, or not at all")
    return notes


def check_tokenizer(teacher: Teacher, data: Sequence[Dataset]) -> list[str]:
    """A warning where a rival tokenizer differs on hard texts; `InputError` where it does on the data."""
    rival = teacher.rival
    if rival is None:
        return []
    texts = _texts(data)
    own, other = (_ids(backend, texts) for backend in (teacher.tokenizer.backend_tokenizer, rival.backend))
    differing = [text for text, a, b in zip(texts, own, other, strict=True) if a != b]
    if differing:
        raise InputError(
            f"teacher {teacher.name}: {rival.difference}; {len(differing)} of {len(texts)} texts differ, as "
            f"{shown(differing[0], 60)}; correct the file that is not the training's"
        )
    return [f"{rival.difference}; no text of the data shows which is right: tokenizer.json counts"]


def check_unknown(teacher: Teacher, encoded: Sequence[Encoded]) -> list[str]:
    """Warn of a vocabulary that lacks many of the data's words; `InputError` where it lacks most."""
    share = unknown_share(teacher.tokenizer, encoded)
    if share > MOST_UNKNOWN:
        raise InputError(
            f"teacher {teacher.name}: {share:.0%} of the data's tokens are unknown to its tokenizer; give the "
            "tokenizer that the teacher was trained with, or data in its language"
        )
    if share > MANY_UNKNOWN:
        return [
            f"{share:.0%} of the data's tokens are unknown to the teacher's tokenizer: is the data in its language?"
        ]
    return []


def check_words(data: Dataset, encoded: Encoded, longest: int) -> list[str]:
    """Warn of tagged words without a token: no metric counts them. Texts of `longest` tokens may be cut: not looked at.

    `encoded` is `data` as the tokenizer reads it.
    """
    if not encoded.per_token:
        return []
    labelled = np.add.reduceat(encoded.labels != IGNORED, encoded.offsets[:-1])
    words = np.array([len(example.words or ()) for example in data.examples])
    missing = (words - labelled) * ((encoded.lengths < longest) | (encoded.windows is not None))
    if not missing.any():
        return []
    first = data.examples[int(missing.nonzero()[0][0])]
    return [
        f"{data.source}: {missing.sum():,} of {words.sum():,} tagged words have no token, since the tokenizer leaves "
        f"nothing of them (one is in {shown(first.text)}): no metric counts them, and apps give them no tag"
    ]


def unknown_share(tokenizer: PreTrainedTokenizerFast, encoded: Sequence[Encoded]) -> float:
    """Of the data's tokens, special ones left out, the share that stands for what the tokenizer does not know."""
    own = getattr(tokenizer.backend_tokenizer.model, "unk_token", None)  # a config may name another
    unknown = tokenizer.unk_token_id if own is None else tokenizer.backend_tokenizer.token_to_id(own)
    if unknown is None:
        return 0.0
    ids = np.concatenate([each.input_ids for each in encoded])
    others = [i for i in tokenizer.all_special_ids if i != unknown]
    words = ids[~np.isin(ids, others)]
    return float((words == unknown).mean()) if len(words) else 0.0


def _texts(data: Sequence[Dataset]) -> list[str]:
    """A sample of the data's texts, evenly spaced, the second ones of pairs too."""
    chosen = []
    for each in data:
        step = max(1, len(each.examples) * len(data) // SAMPLE)
        chosen += [e.text if e.pair is None else f"{e.text} {e.pair}" for e in each.examples[::step]]
    return chosen


def _ids(backend: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [each.ids for batch in encode_texts(backend, texts, "the data") for each in batch]
