"""From a base checkpoint and the task's data to a folder that `edgepack build -m` takes.

While it trains, the output folder holds its workspace alone; an interrupted run resumes from there when the same
command is given again. The teacher takes the folder's place by one rename, or not at all.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgepack.console import Console
from edgepack.errors import InputError, shown
from edgepack.finetune.head import Beginning, begin_at_shares, load_with_new_head
from edgepack.finetune.held_out import held_out_count, split
from edgepack.finetune.loop import Job
from edgepack.finetune.result import FinetuneResult
from edgepack.finetune.scale import put_on_scale, refuse_class_options, score_figures, score_layer, standardized
from edgepack.finetune.scores import class_scores
from edgepack.finetune.settings import Options, Settings, choose_trials
from edgepack.finetune.trials import train_trials
from edgepack.inference import predict
from edgepack.task.encoded import Encoded
from edgepack.task.examples import (
    Columns,
    Dataset,
    Example,
    infer_problem,
    infer_ranking,
    infer_task,
    read_both,
    read_labels,
    read_tag_scheme,
    show_notes,
)
from edgepack.task.long_texts import split as split_windows
from edgepack.task.read_long import LongTexts, read_long
from edgepack.task.reading.labels import MARKS_OF_NONE, OtherLabels, made_of_others
from edgepack.task.reading.sources import open_table
from edgepack.task.reading.table import listed
from edgepack.task.scoring import REGRESSION
from edgepack.task.tagging import said_of_both
from edgepack.task.task import Task
from edgepack.task.tokenize import encode, suggest_max_length
from edgepack.teacher import (
    Checkpoint,
    find_unseen,
    load_tokenizer,
    open_checkpoint,
    position_limit,
    quiet_transformers,
    said_of_others,
    write_unseen,
)
from edgepack.train.processes import find_device, has_bf16
from edgepack.workspace import HIDDEN_FOLDER, Workspace, sha256_file, source_hash, written_folder

STAGE = "finetune"
LEAST_CHECKED = 20  # rows; fewer may have a label each, as to try something out


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data and base, read and checked; `evaluation` is encoded as a build of the teacher encodes it.

    `training` are single inputs: of long texts the windows (words) or the first one (texts), of `rows` examples.
    """

    checkpoint: Checkpoint
    tokenizer: PreTrainedTokenizerFast
    task: Task
    training: Encoded
    rows: int
    held_out: Encoded | None
    unseen: tuple[Example, ...]  # what is held out, but for what the base may know from a training of its own
    evaluation: Encoded
    max_length: int
    trials: tuple[Settings, ...]  # the first is what rules choose
    data_sha256: str
    scale: tuple[float, float] | None = None  # of scores: mean and standard deviation, which training has as 0 and 1


def finetune(
    base: str,
    train: str,
    evaluation: str,
    output: Path,
    *,
    columns: Columns | None = None,
    options: Options | None = None,
    console: Console,
) -> FinetuneResult:
    """Train a teacher from `base` and save it at `output`.

    Of hub data sets, `train` is the split of that name and `evaluation` the split `validation`.
    """
    columns, options = columns or Columns(), options or Options()
    _check_output(output)
    device = find_device(options.device)
    prepared = prepare(base, train, evaluation, columns, options, console)
    beginning = load_with_new_head(prepared.checkpoint, prepared.task, options.seed)
    model = beginning.model
    if prepared.scale is not None:
        score_layer(model)  # refused before it is trained
    workspace, bf16 = Workspace(output), has_bf16(device.type == "cpu")
    with workspace.lock():
        scratch = workspace.stage(STAGE, _key(prepared, device, bf16)).scratch
        for other in scratch.parent.iterdir():
            if other != scratch:
                shutil.rmtree(other)  # of earlier settings or data
        result = train_and_score(beginning, prepared, device, bf16, scratch, output, console)
        if prepared.task.tag_scheme is not None:
            model.config.tag_scheme = prepared.task.tag_scheme  # which labels alone may not show
        if result.thresholds:
            model.config.thresholds = list(result.thresholds)  # the teacher's own, which a build reads
        _save(model.cpu(), prepared.tokenizer, prepared.unseen, output)
    return result


def train_and_score(
    beginning: Beginning,
    prepared: Prepared,
    device: torch.device,
    bf16: bool,
    scratch: Path | None,
    output: Path,
    console: Console,
) -> FinetuneResult:
    """Train the model in place, its fresh weights faster, then run the evaluation data once, in fp32."""
    task, data, held_out, model = prepared.task, prepared.training, prepared.held_out, beginning.model
    _say(prepared, device, console)
    settings = prepared.trials[0]
    begin_at_shares(beginning, task, data, settings)
    job = Job(
        task, data, held_out, settings, beginning.fresh, device=device, bf16=bf16, scratch=scratch, console=console
    )
    outcome = train_trials(model, job, prepared.trials)
    training = outcome.best
    if prepared.scale is not None:
        put_on_scale(model, *prepared.scale)
    if task.is_multi_label and held_out is not None:
        task = task.with_thresholds(predict(model, held_out, device=str(device)), held_out)
    logits = predict(model, prepared.evaluation, device=str(device))
    statistics = task.statistics(logits, prepared.evaluation)
    return FinetuneResult(
        output=output,
        metric_name=task.metric_name,
        metric=task.metric(statistics),
        n=len(statistics),
        classes=class_scores(task, logits, prepared.evaluation),
        settings=outcome.settings,
        rows=prepared.rows,
        held_out_rows=len(held_out) if held_out is not None else 0,
        max_length=prepared.max_length,
        steps=training.step,
        kept_step=training.step if training.best_step is None else training.best_step,
        history=tuple(training.history),
        thresholds=task.thresholds,
        held_out_metric=outcome.metric,
        held_out_loss=outcome.loss,
        trials=outcome.trials,
        others=score_figures(task, logits, prepared.evaluation),
    )


def prepare(base: str, train: str, evaluation: str, columns: Columns, options: Options, console: Console) -> Prepared:
    """Read and check everything, hold out the slice, choose the settings."""
    task, training, judged = _read(train, evaluation, columns, options.tag_scheme, console)
    if task.is_score:
        refuse_class_options(options)
    if (task.is_multi_label or task.is_score) and options.label_smoothing is None:
        options = replace(options, label_smoothing=0.0)  # a label's probability is compared with a threshold
    checkpoint = open_checkpoint(_encoder_folder(base))
    for said in said_of_others(checkpoint.folder, f"checkpoint {checkpoint.name}", checkpoint.traits):
        console.warn(said)
    tokenizer = load_tokenizer(checkpoint, task.name)
    limit = position_limit(checkpoint, tokenizer)
    if options.max_length is not None and options.max_length > limit:
        raise InputError(f"max length is {options.max_length}; {checkpoint.name} allows at most {limit} tokens")
    longest = options.max_length or limit
    encoded, evaluated = (
        _read_whole(data, task, tokenizer, longest, options.long_texts, what, console)
        for data, what in ((training, "training"), (judged, "evaluation"))
    )
    length = options.max_length or suggest_max_length(encoded, encoded, limit)  # holds all of them
    rest, held = split(training.examples, held_out_count(len(training), options.held_out), options.seed, task.ranks)
    if not len(held) and options.patience is not None:
        raise InputError(f"patience is {options.patience}; it needs held-out examples, and of {len(training)} none are")
    encoded, scale = standardized(encoded, rest, train) if task.is_score else (encoded, None)
    inputs = split_windows(encoded.select(rest)).training()
    return Prepared(
        checkpoint=checkpoint,
        tokenizer=tokenizer,
        task=task,
        training=inputs,
        rows=len(rest),
        held_out=encoded.select(held) if len(held) else None,
        unseen=_new_to(checkpoint.folder, [training.examples[i] for i in held]),
        evaluation=evaluated,
        max_length=length,
        trials=choose_trials(options, task.name, checkpoint.sizes.hidden_size, len(inputs), bool(len(held))),
        data_sha256=training.sha256,
        scale=scale,
    )


def _read_whole(
    data: Dataset,
    task: Task,
    tokenizer: PreTrainedTokenizerFast,
    longest: int,
    asked: LongTexts | None,
    what: str,
    console: Console,
) -> Encoded:
    """A data set as tokens, its long texts cut or in windows, which is said."""
    read = read_long(encode(data, task, tokenizer, longest), data, task, tokenizer, longest, asked)
    said = read.describe(what, longest, windows_help=True)
    if said is not None:
        console.info(said)
    return read.encoded


def _check_output(output: Path) -> None:
    """Refuse an output that holds anything but the workspace of an unfinished fine-tuning."""
    if not output.exists():
        return
    if not output.is_dir() or any(entry.name != HIDDEN_FOLDER for entry in output.iterdir()):
        raise InputError(f"output {output}: exists and is not an empty folder; name a new one")
    stages = [path.name for part in ("stages", "scratch") for path in (output / HIDDEN_FOLDER / part).glob("*")]
    if any(not name.startswith(f"{STAGE}-") for name in stages):
        raise InputError(f"output {output}: is an unfinished build's; name a new folder")


def _read(
    train: str, evaluation: str, columns: Columns, tag_scheme: str | None, console: Console
) -> tuple[Task, Dataset, Dataset]:
    name, pair = infer_task(train, columns)
    if name == "token-classification" and (said := said_of_both(open_table(train), columns)):
        console.warn(said)
    scheme = read_tag_scheme(train, columns, tag_scheme)
    labels = read_labels(train, columns, scheme=scheme)
    problem = infer_problem(train, columns)
    ranks = problem == REGRESSION and infer_ranking(train, columns)
    task = Task(name, labels, pair, problem, scheme=scheme, ranks=ranks)
    if len(task.labels) < 2 and not task.is_score:
        found = f"its only label is {shown(task.labels[0])}" if task.labels else "none of its texts has a label"
        raise InputError(f"{train}: {found}; at least 2 are needed")
    try:
        training, judged = read_both(train, evaluation, task, columns)
    except OtherLabels as e:
        raise InputError(f"{e} (the teacher is to have the labels of {train})") from e
    show_notes(console, training, judged)
    _warn_of_none(console, task, training)
    if not task.is_tagging and len(joined := made_of_others(task.labels)) > 1:
        console.warn(
            f"{train}: labels {listed(joined)} are made of others: if texts have several labels, join these by a comma"
        )
    if scheme == "plain" and tag_scheme is None:
        console.info(f"{train}: none of its tags is O, so they mark no entities: each word has a tag of its own")
    if not (task.is_tagging or task.is_score) and len(training) >= LEAST_CHECKED:
        texts = Counter(example.label for example in training.examples)
        if max(texts.values()) == 1:
            raise InputError(
                f"{train}: each of its {len(training)} texts has a label that no other has, so nothing can be learnt: "
                "is the label column one of ids? name the right one with --label-column"
            )
    return task, training, judged


def _warn_of_none(console: Console, task: Task, training: Dataset) -> None:
    """Say that a class may be what is written for a label that is not there."""
    for mark in (label for label in task.labels if label in MARKS_OF_NONE):
        number = task.labels.index(mark)
        found = [e.label if isinstance(e.label, tuple) else (e.label,) for e in training.examples]
        console.warn(
            f"{training.source}: {sum(number in each for each in found):,} of {len(found):,} examples have the label "
            f"{mark}, as a missing one is often written; it becomes a class: leave them out if they have no label"
        )


def _encoder_folder(base: str) -> str:
    """The base, or the encoder's folder inside a sentence-transformers one that has it in a part of its own."""
    modules = Path(base) / "modules.json"
    if not modules.is_file() or (Path(base) / "config.json").is_file():
        return base
    try:
        path = Path(base) / str(json.loads(modules.read_text(encoding="utf-8"))[0]["path"])
    except (ValueError, LookupError, TypeError) as e:
        raise InputError(f"checkpoint {base}: modules.json does not name the encoder's folder; give that folder") from e
    return str(path) if path.is_dir() else base


def _key(prepared: Prepared, device: torch.device, bf16: bool) -> dict[str, object]:
    """Everything that decides the teacher; the evaluation data does not."""
    files = prepared.checkpoint.files()
    return {
        "base": {path.name: sha256_file(path) for path in files},
        "data": prepared.data_sha256,
        "examples": prepared.training.sha256(),
        "held_out": None if prepared.held_out is None else prepared.held_out.sha256(),
        "labels": list(prepared.task.labels),
        "tag_scheme": prepared.task.tag_scheme,
        "problem": prepared.task.problem,
        "trials": [asdict(settings) for settings in prepared.trials],
        "device": device.type,
        "bf16": bf16,
        "code": source_hash(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }


def _say(prepared: Prepared, device: torch.device, console: Console) -> None:
    settings, held_out = prepared.trials[0], prepared.held_out
    judged = f"{len(held_out)} more held out to judge it" if held_out is not None else "none held out"
    epochs = f"{'' if settings.patience is None else 'up to '}{settings.steps / settings.epoch_steps:.0f} epochs"
    console.info(
        f"training on {prepared.rows} examples of {prepared.task.described}, {judged}; {epochs}, "
        f"batch {settings.batch_size}, learning rate {settings.learning_rate:g}, "
        f"label smoothing {settings.label_smoothing:g}, class weights {settings.class_weights}, on {device}"
    )


def _new_to(base: Path, held_out: Sequence[Example]) -> tuple[Example, ...]:
    """Those examples held out that `base` did not train on: all, unless it has a record, and then what that has."""
    unseen = find_unseen(base, held_out)
    return tuple(held_out) if unseen is None else tuple(held_out[i] for i in unseen)


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, unseen: Sequence[Example], output: Path) -> None:
    """Write the teacher beside `output`, then rename; the workspace goes with the folder that was there."""
    with written_folder(output) as beside, quiet_transformers():
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        write_unseen(beside, unseen)
