"""How a teacher makes one vector of a text: the modules of a sentence-transformers folder, or a pooling that is named.

`modules.json` lists them in their order: Transformer, Pooling, then perhaps Dense and Normalize (Reimers and Gurevych
2019, arXiv:1908.10084). A student computes exactly these, one after the other, so another order, another module or
one of the folder's own code is refused by its name, and a note says which settings are not read. An encoder without
that file needs to be told how tokens become a vector; its vectors are made of length 1, as searches compare directions.

Prompts (`query: ` and the like) are a part of the text: data and searches have those that sentence-transformers'
`encode_query` and `encode_document` write (`task/vector_data.py`), and a note names them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.errors import InputError, bare, shown
from edgepack.task.similarity import NO_PROMPTS, Pooling, Prompts
from edgepack.teacher.files import read_json, read_json_list

POOLINGS: tuple[Pooling, ...] = ("mean", "first", "last")  # to choose from, the usual one first
MODULES, SETTINGS = "modules.json", "sentence_bert_config.json"
OLDER_SETTINGS = ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")  # sentence_…_config.json
OWN_CONFIG = "config_sentence_transformers.json"
# what a Pooling module may say, in both of its spellings, and what a student calls it
FLAGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_lasttoken": "last",
}
MODES: dict[str, Pooling] = {"mean": "mean", "cls": "first", "lasttoken": "last"}
ACTIVATIONS: dict[str, str | None] = {"Identity": None, "Tanh": "tanh", "GELU": "gelu", "ReLU": "relu"}
QUERY_PROMPT, DOCUMENT_PROMPTS = "query", ("document", "passage", "corpus")  # by sentence-transformers' names
COSINE = "cosine"
SIMILARITIES = (COSINE, "dot", "dot_score", "cos_sim", "euclidean", "manhattan")
ORDER = ("Transformer", "Pooling", "Dense", "Normalize")
PACKAGE = "sentence_transformers."
LONGEST_INPUT = 1_000_000
WHATEVER = object()
# settings of each file that are read, or do not decide what a vector is; of some, the one value that a student has
UNDERSTOOD: dict[str, dict[str, Any]] = {
    "Transformer": {
        **dict.fromkeys(("max_seq_length", "do_lower_case"), WHATEVER),
        "transformer_task": "feature-extraction",
        "module_output_name": "token_embeddings",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    },
    "Pooling": dict.fromkeys(
        ("word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt", *FLAGS), WHATEVER
    ),
    "Dense": {
        **dict.fromkeys(("in_features", "out_features", "bias", "activation_function"), WHATEVER),
        **dict.fromkeys(("module_input_name", "module_output_name"), "sentence_embedding"),
    },
    OWN_CONFIG: {
        **dict.fromkeys(("__version__", "prompts", "default_prompt_name", "similarity_fn_name"), WHATEVER),
        "model_type": "SentenceTransformer",
    },
}


@dataclass(frozen=True)
class Embedding:
    """`folder`: the encoder's own; `dense`: of a linear layer behind the pooling, `activation` what follows it.

    `files` decide besides the encoder's what a vector is. `prompts`: what the folder says stands before texts.
    `similarity`: what it says its vectors are compared by. `unread`: what its files say and nothing here reads.
    """

    folder: Path
    pooling: Pooling
    normalized: bool
    dense: Path | None = None
    activation: str | None = None
    max_length: int | None = None
    lower_case: bool = False
    files: tuple[Path, ...] = ()
    prompts: Prompts = NO_PROMPTS
    similarity: str = COSINE
    unread: tuple[str, ...] = ()

    def describe(self) -> str:
        """A few words: the way from tokens to a vector."""
        steps = [f"{self.pooling} of the tokens", *(["a linear layer"] if self.dense is not None else [])]
        return ", ".join([*steps, *(["length 1"] if self.normalized else [])])

    def notes(self) -> list[str]:
        """What a user should know of it."""
        found = list(self.unread)
        if self.prompts != NO_PROMPTS:
            query, text = (shown(each, 60) if each else "nothing" for each in (self.prompts.query, self.prompts.text))
            found.append(
                f"the teacher has prompts: {query} is written before queries and {text} before other texts, in the "
                "data and in searches, where it does not stand there"
            )
        if self.similarity not in (COSINE, "cos_sim") and not self.normalized:
            found.append(
                f"the teacher's vectors are compared by {bare(self.similarity)} and have lengths of their own; "
                "edgepack and its apps compare by cosine, which leaves these out"
            )
        return found


def has_modules(folder: Path) -> bool:
    """Whether it is a sentence-transformers folder."""
    return os.path.lexists(folder / MODULES)


def read_embedding(folder: Path, what: str, pooling: str | None) -> Embedding:
    """How the teacher in `folder` embeds; `pooling`: what the user says, which must agree with what the folder says."""
    if pooling is not None and pooling not in POOLINGS:
        raise InputError(f"pooling is {shown(pooling)}; allowed: {', '.join(POOLINGS)}")
    if not has_modules(folder):
        if pooling is None:
            raise InputError(
                f"{what}: has no {MODULES}, so how its tokens become one vector is not known; pass --pooling "
                f"{', '.join(POOLINGS[:-1])} or {POOLINGS[-1]}"
            )
        named: Pooling = next(each for each in POOLINGS if each == pooling)
        return Embedding(folder, named, normalized=True)
    found = _read_modules(folder, what)
    if pooling is not None and pooling != found.pooling:
        raise InputError(f"{what}: pooling is {found.pooling} by its {MODULES}, {pooling} by --pooling; leave that out")
    return found


def _read_modules(folder: Path, what: str) -> Embedding:
    modules = [_module(folder, entry, what) for entry in read_json_list(folder / MODULES, what)]
    kinds = [kind for kind, _ in modules]
    for kind in kinds:
        if kind not in ORDER:
            raise InputError(
                f"{what}: its module {bare(kind)} has no counterpart in a student; allowed: {', '.join(ORDER)}"
            )
    expected = [kind for kind in ORDER if kind in kinds]
    if kinds != expected or kinds[:2] != list(ORDER[:2]):
        raise InputError(
            f"{what}: its modules are {', '.join(kinds) or 'none'}; allowed: {', '.join(ORDER)}, in this order, each "
            "once, the first two always"
        )
    places = dict(modules)
    encoder, pooled, dense = places["Transformer"], places["Pooling"] / "config.json", places.get("Dense")
    stated = _settings_file(encoder)
    found = {"Transformer": read_json(stated, what), OWN_CONFIG: read_json(folder / OWN_CONFIG, what)}
    found["Pooling"] = _module_config(places["Pooling"], what)
    files = [folder / MODULES, pooled, *([stated] if stated.is_file() else [])]
    prompts = _prompts(found[OWN_CONFIG], what)
    files += [folder / OWN_CONFIG] if prompts != NO_PROMPTS else []
    if dense is not None:
        found["Dense"] = _module_config(dense, what)
        weights = [dense / name for name in ("model.safetensors", "pytorch_model.bin")]
        files += [dense / "config.json", next(filter(os.path.lexists, weights), weights[0])]
    return Embedding(
        folder=encoder,
        pooling=_pooling(found["Pooling"], what),
        normalized="Normalize" in places,
        dense=dense,
        activation=_activation(found["Dense"], what) if dense is not None else None,
        max_length=_length(found["Transformer"], what),
        lower_case=_flag(found["Transformer"], "do_lower_case", False, what),
        files=tuple(files),
        prompts=prompts,
        similarity=_similarity(found[OWN_CONFIG], what),
        unread=(*_unread(found), *_unused_prompts(found[OWN_CONFIG], prompts)),
    )


def _module(folder: Path, entry: Any, what: str) -> tuple[str, Path]:
    """A module's kind, by the last part of its class's name, and its folder, which must be inside the teacher's."""
    path, kind = (entry.get(key) if isinstance(entry, dict) else None for key in ("path", "type"))
    inside = isinstance(path, str) and not Path(path).is_absolute() and ".." not in Path(path).parts
    if not inside or not isinstance(kind, str) or not kind:
        raise InputError(f"{what}: {MODULES} holds {shown(entry)}; a type and a path inside the folder are needed")
    if not kind.startswith(PACKAGE):
        raise InputError(
            f"{what}: its module {bare(kind)} is code of its own, which edgepack never runs; allowed: modules of "
            f"{PACKAGE}…"
        )
    return kind.rpartition(".")[2], folder / str(path)


def _settings_file(encoder: Path) -> Path:
    """The encoder's settings, under the first name that sentence-transformers looks for."""
    names = (SETTINGS, *(f"sentence_{kind}_config.json" for kind in OLDER_SETTINGS))
    return next((encoder / name for name in names if os.path.lexists(encoder / name)), encoder / SETTINGS)


def _module_config(folder: Path, what: str) -> dict[str, Any]:
    """A module's config.json, which has to be there."""
    path = folder / "config.json"
    if not os.path.lexists(path):
        raise InputError(
            f"{what}: {MODULES} names {bare(folder.name)}, which has no config.json; download the folder again"
        )
    return read_json(path, f"{what}: {folder.name}")


def _unread(configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A note on each setting that nothing here reads, with another value than that of what a student computes."""
    return [
        f"the teacher's {kind} says {bare(name)} {shown(value)}, which edgepack does not read; if it decides what a "
        "vector is, the student's are others"
        for kind, config in configs.items()
        for name, value in config.items()
        if value and UNDERSTOOD[kind].get(name) not in (WHATEVER, value)
    ]


def _unused_prompts(config: Mapping[str, Any], used: Prompts) -> list[str]:
    """A note on prompts of which none is that of queries or of documents."""
    names = [name for name, text in (config.get("prompts") or {}).items() if text]
    if used != NO_PROMPTS or not names:
        return []
    return [
        f"the teacher has prompts for {bare(', '.join(names))}, which are not written before any text; if the app's "
        "texts have one, give data that begin with it"
    ]


def _flag(config: Mapping[str, Any], name: str, default: bool, what: str) -> bool:
    """A setting that is true or false; the text "false" is true to Python."""
    value = config.get(name)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{what}: {name} is {shown(value)}; allowed: true, false")
    return default if value is None else value


def _similarity(config: Mapping[str, Any], what: str) -> str:
    found = config.get("similarity_fn_name") or COSINE
    if found not in SIMILARITIES:
        raise InputError(
            f"{what}: similarity_fn_name is {shown(found)} in {OWN_CONFIG}; allowed: {', '.join(SIMILARITIES)}"
        )
    return str(found)


def _pooling(config: dict[str, Any], what: str) -> Pooling:
    """The one way of pooling that is switched on, in either spelling of the file."""
    mode = config.get("pooling_mode")
    if mode is None:
        flags = [name for name in config if name.startswith("pooling_mode_")]
        on = [name for name in flags if _flag(config, name, False, what)]
    else:
        on = list(map(str, mode)) if isinstance(mode, list) else [str(mode)]
    known = {**FLAGS, **MODES}
    if len(on) != 1 or on[0] not in known:
        raise InputError(f"{what}: its pooling is {bare(', '.join(on)) or 'none'}; allowed: one of {', '.join(FLAGS)}")
    if not _flag(config, "include_prompt", True, what):
        raise InputError(f"{what}: its pooling leaves prompts out (include_prompt false), which no student does")
    return known[on[0]]


def _activation(config: dict[str, Any], what: str) -> str | None:
    path = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    name = path.rpartition(".")[2] if path.startswith("torch.nn.") else path
    if name not in ACTIVATIONS:
        raise InputError(
            f"{what}: its Dense module ends in {bare(name)}; allowed: {', '.join(ACTIVATIONS)} of torch.nn"
        )
    return ACTIVATIONS[name]


def _length(settings: dict[str, Any], what: str) -> int | None:
    found = settings.get("max_seq_length")
    if found is None:
        return None
    if type(found) is not int or not 1 <= found <= LONGEST_INPUT:
        raise InputError(f"{what}: max_seq_length is {shown(found)}; a number from 1 is needed in {SETTINGS}")
    return found


def _prompts(config: dict[str, Any], what: str) -> Prompts:
    """The prompts of queries and of other texts; the default one where the folder names none for these."""
    found: Any = config.get("prompts") or {}
    default = config.get("default_prompt_name")
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise InputError(f"{what}: prompts is {shown(found)} in {OWN_CONFIG}; an object of names and texts is needed")
    if default is not None and (not isinstance(default, str) or default not in found):
        raise InputError(
            f"{what}: default_prompt_name is {shown(default)} in {OWN_CONFIG}; its prompts are {bare(', '.join(found))}"
        )
    usual: str = "" if default is None else found[default]
    text: str = next((found[name] for name in DOCUMENT_PROMPTS if name in found), usual)
    return Prompts(found.get(QUERY_PROMPT, usual), text)


def dense_shape(folder: Path, what: str) -> tuple[int, int, bool]:
    """Inputs, outputs and whether there is a bias, of a Dense module."""
    config = _module_config(folder, what)
    sizes: list[Any] = [config.get(name) for name in ("in_features", "out_features")]
    if not all(type(size) is int and 1 <= size <= LONGEST_INPUT for size in sizes):
        raise InputError(f"{what}: its Dense module has the sizes {json.dumps(sizes)}; two numbers from 1 are needed")
    return int(sizes[0]), int(sizes[1]), _flag(config, "bias", True, f"{what}: its Dense module")
