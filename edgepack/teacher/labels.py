"""What a checkpoint is for: its task, by the head's architecture, and the names of its classes.

Names stand twice in a config, as id2label and as label2id. transformers writes `LABEL_0` and so on where nobody
named anything; where one of the two has real names, those count. Two that contradict each other are refused, since
either could be meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig

from edgepack.errors import InputError, bare, shown
from edgepack.task.reading.labels import is_unnamed
from edgepack.task.schemes import SCHEMES, SchemeName
from edgepack.task.scores import Activation
from edgepack.task.scoring import MULTI_LABEL, PROBLEMS, REGRESSION, SINGLE_LABEL, Problem
from edgepack.task.task import TASK_NAMES, TaskName

HEADS: dict[str, TaskName] = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
}
ACTIVATIONS_BY_CLASS: dict[str, Activation] = {"Sigmoid": "sigmoid", "Identity": "identity"}
OTHER_HEADS = {
    "ForQuestionAnswering": "marks answers in a text (question answering)",
    "ForMaskedLM": "fills in masked words",
    "ForPreTraining": "is a language model",
    "ForCausalLM": "continues text",
    "LMHeadModel": "continues text",
    "ForMultipleChoice": "chooses between answers (multiple choice)",
    "ForNextSentencePrediction": "tells whether one sentence follows another",
    "Model": "is an encoder without a head",
}


def find_task(config: PreTrainedConfig, what: str, wanted: str | None, fallback: str | None = None) -> TaskName:
    """The task that the head is for; `wanted` must agree, `fallback` decides where the config names no architecture."""
    if wanted is not None and wanted not in TASK_NAMES:
        raise InputError(f"task is {shown(wanted)}; allowed: {', '.join(TASK_NAMES)}")
    architectures = config.architectures or []
    if not isinstance(architectures, list) or not all(isinstance(each, str) for each in architectures):
        raise InputError(f"{what}: architectures is {shown(architectures)}; a list with one name is needed")
    heads = {name for each in architectures for suffix, name in HEADS.items() if each.endswith(suffix)}
    if len(heads) > 1 and wanted is None:
        raise InputError(f"{what}: architectures names heads for {' and for '.join(sorted(heads))}; pass --task")
    if architectures and not heads:
        raise InputError(_no_classifier(architectures[0], what))
    if wanted is not None and heads and wanted not in heads:
        raise InputError(f"{what}: is a {bare(architectures[0])}; the task asked for is {wanted}")
    found: set[str | None] = {*heads} or {wanted or fallback}
    for name in TASK_NAMES:
        if name in found:
            return name
    raise InputError(f"{what}: config.json names no architecture; pass --task")


def _no_classifier(architecture: str, what: str) -> str:
    does = next((f" ({words})" for suffix, words in OTHER_HEADS.items() if architecture.endswith(suffix)), "")
    return (
        f"{what}: architecture is {bare(architecture)}, not fine-tuned for classification{does}; "
        f"allowed: …{', …'.join(HEADS)}. Make a teacher with `edgepack finetune`"
    )


def find_problem(config: PreTrainedConfig, what: str, fallback: Problem) -> Problem:
    """What the head's outputs mean; `fallback` decides where the config does not say. Other heads are refused."""
    count, kind = len(config.id2label or {}), config.problem_type
    if kind not in (None, *PROBLEMS) or (kind is not None and (kind == REGRESSION) != (count == 1)):
        raise InputError(
            f"{what}: problem_type {shown(kind)} with {count} label(s); allowed: {SINGLE_LABEL} or {MULTI_LABEL} with "
            f"at least 2 labels, or {REGRESSION} with one output"
        )
    if count == 1:
        return REGRESSION
    if kind is None:  # scores are refused where they are read: this teacher has classes
        return SINGLE_LABEL if fallback == REGRESSION else fallback
    return MULTI_LABEL if kind == MULTI_LABEL else SINGLE_LABEL


def find_activation(config: PreTrainedConfig, what: str) -> tuple[Activation, str]:
    """What turns the one output of a head into a score, and how that is known.

    sentence-transformers' CrossEncoder writes it into config.json; where it has not, one output is a sigmoid's, for it
    and for transformers' pipeline, but where config.json says that it is a regression.
    """
    nested = getattr(config, "sentence_transformers", None)
    places = {
        "sentence_transformers.activation_fn": nested.get("activation_fn") if isinstance(nested, dict) else None,
        "sbert_ce_default_activation_function": getattr(config, "sbert_ce_default_activation_function", None),
    }
    for place, recorded in places.items():
        if recorded is not None:
            found = ACTIVATIONS_BY_CLASS.get(str(recorded).rpartition(".")[2])
            if found is None:
                allowed = ", ".join(ACTIVATIONS_BY_CLASS)
                raise InputError(f"{what}: {place} is {shown(recorded)}; allowed: torch's {allowed}")
            return found, f"as {place} says"
    if config.problem_type == REGRESSION:
        return "identity", "as problem_type is regression"
    return "sigmoid", "as sentence-transformers and transformers have it where config.json does not say"


def own_thresholds(config: PreTrainedConfig, what: str) -> tuple[float, ...]:
    """The thresholds that `edgepack finetune` writes for a teacher of label sets; none where there are none."""
    found = getattr(config, "thresholds", None)
    if found is None:
        return ()
    good = isinstance(found, list) and all(isinstance(each, int | float) and 0 < each < 1 for each in found)
    if not good or len(found) != len(config.id2label):
        raise InputError(
            f"{what}: thresholds is {shown(found)}; one number above 0 and below 1 for each of its "
            f"{len(config.id2label)} labels is needed: correct config.json, or remove the entry"
        )
    return tuple(map(float, found))


def label_names(config: PreTrainedConfig) -> tuple[str, ...]:
    """The names in the order of their class ids; of a score without a name `score`."""
    names = tuple(str(config.id2label[i]) for i in range(len(config.id2label)))
    return ("score",) if len(names) == 1 and is_unnamed(names) else names


def recorded_scheme(config: PreTrainedConfig, task: TaskName) -> SchemeName | None:
    """The tag scheme that `edgepack finetune` wrote into config.json; None where there is none."""
    recorded = getattr(config, "tag_scheme", None)
    return next((scheme for scheme in SCHEMES if scheme == recorded and task == "token-classification"), None)


def read_labels(raw: Mapping[str, Any], what: str) -> tuple[str, ...] | None:
    """The class names that config.json states, by id; None where it states none."""
    forward = _by_id(raw.get("id2label"), "id2label", what)
    backward = _by_id(_inverted(raw.get("label2id"), what), "label2id", what)
    named = bool(backward) and not is_unnamed(backward.values())
    if not forward or (named and is_unnamed(forward.values()) and _is_whole(backward)):
        forward, backward = backward, {}
    if not forward:
        return None
    if not _is_whole(forward):
        raise InputError(f"{what}: id2label must name each class id from 0 once; {_fault(forward)}")
    if backward and not is_unnamed(backward.values()):
        ids = {name: i for i, name in backward.items()}
        for i, name in forward.items():
            if ids.get(name, i) != i:
                raise InputError(
                    f"{what}: id2label says that class {i} is {shown(name)}, label2id that {shown(name)} is class "
                    f"{ids[name]}; correct the one that is wrong in config.json"
                )
            if i in backward and _plain(backward[i]) != _plain(name):
                raise InputError(
                    f"{what}: class {i} is {shown(name)} by id2label and {shown(backward[i])} by label2id; correct the "
                    "one that is wrong in config.json"
                )
    return tuple(forward[i] for i in range(len(forward)))


def _inverted(label2id: Any, what: str) -> Any:
    """label2id as id2label would have it."""
    if not isinstance(label2id, dict):
        return label2id
    wrong = next((name for name, i in label2id.items() if not isinstance(i, int | str) or isinstance(i, bool)), None)
    if wrong is not None:
        raise InputError(
            f"{what}: label2id gives {shown(wrong)} the id {shown(label2id[wrong])}; whole numbers are needed"
        )
    ids = [str(i) for i in label2id.values()]
    if len(set(ids)) != len(label2id):
        raise InputError(f"{what}: label2id must give each name a class id of its own; it is {shown(label2id, 200)}")
    return dict(zip(ids, label2id, strict=True))


def _by_id(names: Any, field: str, what: str) -> dict[int, str]:
    if names is None:
        return {}
    if not isinstance(names, dict):
        raise InputError(f"{what}: {field} is {shown(names)}; an object of class ids and names is needed")
    found: dict[int, str] = {}
    for number, name in names.items():
        if (
            not re.fullmatch(r"0|[1-9][0-9]{0,8}", str(number))
            or not isinstance(name, str | int | float)
            or not str(name).strip()
        ):
            raise InputError(
                f"{what}: {field} holds {shown(number)}: {shown(name)}; class ids from 0 and names are needed"
            )
        found[int(number)] = str(name)
    return found


def _fault(names: Mapping[int, str]) -> str:
    """What keeps names from being one for each id."""
    lacking = next((i for i in range(len(names)) if i not in names), None)
    if lacking is not None:
        return f"it names {len(names)}, and not {lacking}"
    twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
    first, second, *_ = sorted(i for i, name in names.items() if name == twice)
    return f"{first} and {second} are both {shown(twice)}: give one another name"


def _plain(name: str) -> str:
    """A name without the case and the spaces that people write otherwise the second time."""
    return "".join(name.casefold().split())


def _is_whole(names: Mapping[int, str]) -> bool:
    return sorted(names) == list(range(len(names))) and len(set(names.values())) == len(names)
