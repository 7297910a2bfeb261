"""A teacher: a fine-tuned checkpoint, checked before anything is spent on it.

Its family, its task, a head that was really trained (transformers fills missing weights with random ones and only
warns), weights that are all used, one label per example, and the tokenizer that is in its folder.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from edgepack.errors import InputError, bare
from edgepack.task.schemes import SchemeName
from edgepack.task.scoring import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Problem
from edgepack.task.similarity import EMBEDS
from edgepack.task.task import Task, TaskName
from edgepack.teacher.checkpoint import Checkpoint, Sizes, open_checkpoint
from edgepack.teacher.embedding import SETTINGS, Embedding, read_embedding
from edgepack.teacher.embedding_model import EmbeddingModel
from edgepack.teacher.families import has_head
from edgepack.teacher.files import refuse_unusable
from edgepack.teacher.hub import EMBEDDING_FILES, WANTED, find_folder
from edgepack.teacher.labels import (
    find_activation,
    find_problem,
    find_task,
    label_names,
    own_thresholds,
    recorded_scheme,
)
from edgepack.teacher.other_models import refuse_embedding_models
from edgepack.teacher.own_model import Behaviour, OwnModel, observe_model
from edgepack.teacher.pipeline import Rival
from edgepack.teacher.tensors import FileTensors
from edgepack.teacher.tokenizer import FolderTokenizer, open_tokenizer, position_limit
from edgepack.teacher.weights import check_finite, check_loaded, check_weights, load_frozen
from edgepack.teacher.weights_beside import said_of_others

TAGGING = "token-classification"
LARGEST_FRONT = 64 << 10  # bytes of a model card in which its front matter ends


@dataclass(frozen=True, eq=False)
class Teacher:
    """A checked teacher. Its weights are loaded when they are needed: a build has other uses for the memory.

    `truncation_side`, `padding_side`: as its files say; its `tokenizer` cuts and pads on the right, as apps do.
    `rival`: another reading of its tokenizer files. `notes`: what a user should know of how it was read.
    `behaviour`: what its own model showed, where no layer of it can be carved. `tensors`: its files' own.
    `embedding`: how one that embeds texts makes a vector of the encoder's states.
    """

    checkpoint: Checkpoint
    tokenizer: PreTrainedTokenizerFast
    task: Task
    family: str
    max_length: int
    sha256: str
    name: str
    licence: str | None
    parameters: int
    tensors: FileTensors
    truncation_side: str = "right"
    padding_side: str = "right"
    rival: Rival | None = None
    notes: tuple[str, ...] = ()
    behaviour: Behaviour | None = None
    embedding: Embedding | None = None

    @property
    def config(self) -> PreTrainedConfig:
        """The checkpoint's own config."""
        return self.checkpoint.config

    @property
    def sizes(self) -> Sizes:
        """Layers, hidden size, heads and vocabulary, by one name for every family."""
        return self.checkpoint.sizes

    @property
    def is_carved(self) -> bool:
        """Whether students are cut out of its layers."""
        return self.behaviour is None

    def load_model(self) -> PreTrainedModel | OwnModel | EmbeddingModel:
        """The model: fp32, in evaluation mode, to run and not to train."""
        loaded = load_frozen(self.checkpoint, self.task.name, self.tensors).model.eval()
        embedding = self.embedding
        model = loaded if embedding is None else embedding_model(loaded, embedding, self.checkpoint)
        return model if self.behaviour is None else OwnModel(model, self.behaviour)

    def describe(self) -> str:
        """One line: family, shape, size, task."""
        return (
            f"{self.name}: {self.family}, {self.sizes.layers} layers of {self.sizes.hidden_size}, "
            f"{self.parameters / 1e6:.1f}M parameters, {self.task.name}, {self._answers()}"
        )

    def _answers(self) -> str:
        if self.embedding is None:
            return self.task.described
        return f"vectors of {self.task.vector_size} ({self.embedding.describe()})"


def load_teacher(
    source: str,
    task_name: str | None = None,
    pair: bool = False,
    fallback_task: str | None = None,
    fallback_problem: Problem = SINGLE_LABEL,
    tag_scheme: SchemeName | None = None,
    pooling: str | None = None,
) -> Teacher:
    """Load a fine-tuned checkpoint; whatever is wrong with it is an `InputError` of one line.

    `task_name`: what the user says it does. `fallback_task`, `fallback_problem`: what the data looks like, where its
    config says nothing. `tag_scheme`: what its tags mean, if the user says so; else as `edgepack finetune` wrote into
    its config, or as its labels show. `pooling`: how an encoder that does not say so makes a vector of a text.
    """
    if (task_name or fallback_task) == EMBEDS:
        return load_embedding_teacher(source, pooling)
    checkpoint = open_checkpoint(source)
    what = f"checkpoint {checkpoint.name}"
    refuse_embedding_models(checkpoint.folder, checkpoint.name)
    name = find_task(checkpoint.config, what, task_name, fallback_task)
    if not has_head(checkpoint.config, name):
        raise InputError(f"{what}: transformers has no {checkpoint.family} for {name}; allowed: what it has a class of")
    task, notes = read_task(checkpoint, name, pair, fallback_problem, tag_scheme)
    opened = open_tokenizer(checkpoint, name)
    notes += opened.pair_notes if pair else ()
    limit = position_limit(checkpoint, opened.tokenizer)
    prefix = check_weights(checkpoint, name)
    loaded = load_frozen(checkpoint, name)
    check_loaded(loaded.info, checkpoint, name)  # `check_weights` compares names; this is what was made of them
    check_finite(loaded.tensors if loaded.tensors.aside else loaded.model.state_dict(), what)
    outputs = loaded.model.config.num_labels
    behaviour = None if checkpoint.is_carved else observe_model(loaded.model.eval(), checkpoint, name, outputs)
    return Teacher(
        checkpoint=checkpoint,
        tokenizer=opened.tokenizer,
        task=task,
        family=checkpoint.family,
        max_length=limit,
        sha256=_hash_files(checkpoint.files()),
        name=checkpoint.name,
        licence=_licence(checkpoint.folder),
        parameters=sum(p.numel() for p in loaded.model.parameters()),
        tensors=loaded.tensors,
        truncation_side=opened.truncation_side,
        padding_side=opened.padding_side,
        rival=opened.rival,
        notes=(*notes, *said_of_class(loaded.model), *said_of_files(checkpoint, opened, prefix)),
        behaviour=behaviour,
    )


def load_embedding_teacher(source: str, pooling: str | None = None) -> Teacher:
    """A teacher that embeds texts: a sentence-transformers folder, or an encoder with the `pooling` that is named."""
    root, what = find_folder(source, (*WANTED, *EMBEDDING_FILES)), f"checkpoint {source}"
    embedding = read_embedding(root, what, pooling)
    name = root.resolve().name if Path(source).is_dir() else source
    for path in embedding.files:
        refuse_unusable([path], str(Path(source) / path.relative_to(root).parent))
    checkpoint = replace(open_checkpoint(str(embedding.folder)), name=name)
    opened = open_tokenizer(checkpoint, EMBEDS)
    ids = [opened.tokenizer.backend_tokenizer.encode(text).ids for text in ("Abc", "abc")]
    if embedding.lower_case and ids[0] != ids[1]:
        raise InputError(f"{what}: {SETTINGS} says do_lower_case, its tokenizer does not; lower-case in tokenizer.json")
    prefix = check_weights(checkpoint, EMBEDS)
    loaded = load_frozen(checkpoint, EMBEDS)
    check_loaded(loaded.info, checkpoint, EMBEDS)
    model = embedding_model(loaded.model.eval(), embedding, checkpoint)
    check_finite(model.student_weights(), what)
    behaviour = None if checkpoint.is_carved else observe_model(model, checkpoint, EMBEDS, model.vector_size)
    limit = position_limit(checkpoint, opened.tokenizer)
    return Teacher(
        checkpoint=checkpoint,
        tokenizer=opened.tokenizer,
        task=Task(EMBEDS, (), vector_size=model.vector_size, prompts=embedding.prompts),
        family=checkpoint.family,
        max_length=min(limit, embedding.max_length or limit),
        sha256=_hash_files([*checkpoint.files(), *embedding.files]),
        name=name,
        licence=_licence(root),
        parameters=sum(tensor.numel() for tensor in model.student_weights().values()),
        tensors=loaded.tensors,
        truncation_side=opened.truncation_side,
        padding_side=opened.padding_side,
        rival=opened.rival,
        notes=(*embedding.notes(), *said_of_files(checkpoint, opened, prefix)),
        behaviour=behaviour,
        embedding=embedding,
    )


def said_of_class(model: PreTrainedModel) -> list[str]:
    """A note where config.json names other classes than the one that runs, such as one of the training's own code."""
    named = [re.sub("^(TF|Flax)", "", name) for name in model.config.architectures or []]
    run_as = type(model).__name__
    if not named or run_as in named:
        return []
    return [
        f"config.json names the class {bare(named[0])}, which is run as transformers' {run_as}; if its own code "
        "computes something else, give a checkpoint of a plain class"
    ]


def said_of_files(checkpoint: Checkpoint, opened: FolderTokenizer, prefix: str) -> list[str]:
    """Notes on files that nothing reads, and on what a wrapper put before the names of the weights."""
    wrapped = f"the names of its weights begin with {prefix!r}, a wrapper's prefix, which is left out"
    others = said_of_others(checkpoint.folder, f"checkpoint {checkpoint.name}", checkpoint.traits)
    return [*opened.notes, *([wrapped] if prefix else []), *others]


def embedding_model(encoder: PreTrainedModel, embedding: Embedding, checkpoint: Checkpoint) -> EmbeddingModel:
    """The encoder with what makes a vector of its states."""
    return EmbeddingModel(encoder, embedding, checkpoint.traits.prefix, f"checkpoint {checkpoint.name}").eval()


def read_task(
    checkpoint: Checkpoint, name: TaskName, pair: bool, fallback_problem: Problem, tag_scheme: SchemeName | None
) -> tuple[Task, list[str]]:
    """The task with all that config.json says of it, and what had to be understood from the data."""
    config, what = checkpoint.config, f"checkpoint {checkpoint.name}"
    problem = find_problem(config, what, SINGLE_LABEL if name == TAGGING else fallback_problem)
    thresholds = own_thresholds(config, what) if problem == MULTI_LABEL else ()
    scheme = tag_scheme or recorded_scheme(config, name)
    notes = []
    if config.problem_type is None and problem == MULTI_LABEL:
        notes.append(f"{what} has no problem_type; its data have sets of labels, so it is read as one of {MULTI_LABEL}")
        config.problem_type = MULTI_LABEL
    if problem != REGRESSION:
        return Task(name, label_names(config), pair, problem, thresholds, scheme), notes
    activation, how = find_activation(config, what)
    if config.problem_type is None:
        said = "the sigmoid of it" if activation == "sigmoid" else "the output as it is"
        notes.append(f"{what} has one output and no problem_type; its score is {said}, {how}")
    config.problem_type = REGRESSION
    return Task(name, label_names(config), pair, problem, scheme=scheme, activation=activation), notes


def _hash_files(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _licence(folder: Path) -> str | None:
    """`license:` of the model card's front matter."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    with card.open("rb") as file:
        text = file.read(LARGEST_FRONT).decode(errors="replace")
    front = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    line = re.search(r"^license:\s*(\S+)\s*$", front.group(1), re.MULTILINE) if front else None
    return line.group(1).strip("'\"") if line else None
