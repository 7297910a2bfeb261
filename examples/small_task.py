"""Data and teachers for the examples, made on the spot: in your own scripts, paths to your files stand in their place.

Each task is small enough that a teacher is trained in seconds. Its base has random weights; a real one knows the
language, and is the better choice. Nothing here says how well a task of yours will do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.console import Console
from edgepack.demo.base import write_base
from edgepack.demo.grammar import utterances
from edgepack.finetune import Options, finetune

INTENTS = ("set_alarm", "set_timer", "play_music", "get_weather")
GOOD = ("wonderful", "charming", "funny", "brilliant", "warm", "delightful", "clever", "moving", "superb", "honest")
BAD = ("awful", "boring", "clumsy", "dull", "noisy", "pointless", "shallow", "tired", "tedious", "cheap")
THINGS = ("film", "plot", "ending", "cast", "script", "music", "story", "dialogue", "camera", "humour")
OPENINGS = (
    "i found",
    "we all found",
    "most people will find",
    "to me",
    "as for",
    "no wonder",
    "in the end",
    "honestly",
)
PEOPLE = ("anna", "ben", "carlos", "elif", "george", "julia", "kenji", "laura", "mohamed", "nina", "priya", "rosa")
PLACES = ("berlin", "lisbon", "oslo", "new york", "san francisco", "nairobi", "seoul", "vienna", "cape town", "lima")
REQUESTS = (
    *("call {PER} in {LOC}", "tell {PER} that {PER} is in {LOC}", "how do i get from {LOC} to {LOC}"),
    *("book a flight to {LOC} for {PER}", "is {PER} at home", "what is the weather in {LOC}", "never mind"),
)
ENDINGS = ("", " please", " today", " tomorrow morning", " as soon as you can", " if there is time", " right now")

# A recipe so short that the examples take seconds. Leave `recipe` out for a task of your own.
SHORT = 'summary = "for examples"\nbase = "quick"\nexamples_seen = 3000\nbatch_size = 16\n'


@dataclass(frozen=True)
class SmallTask:
    """Where teacher, data and recipe are; what a user has before anything else."""

    model: Path
    data: Path
    eval: Path
    recipe: Path


def sentiment(folder: Path) -> SmallTask:
    """Sentences about films, positive or negative."""
    draw = random.Random(0)
    rows: dict[str, str] = {}
    while len(rows) < 800:
        label = draw.choice(("negative", "positive"))
        words = GOOD if label == "positive" else BAD
        text = f"{draw.choice(OPENINGS)} the {draw.choice(THINGS)} {draw.choice(words)} and {draw.choice(words)}"
        rows[text] = label
    lines = [f"{text}\t{label}" for text, label in rows.items()]
    return make_task(folder, "text\tlabel", lines[:560], lines[560:])


def intents(folder: Path) -> SmallTask:
    """Commands to an assistant, of the demo's grammar; the evaluation data are phrasings that training has not."""
    train, held_out = (
        [f"{u.text}\t{u.intent}" for u in utterances(split, count) if u.intent in INTENTS]
        for split, count in (("train", 120), ("test", 60))
    )
    return make_task(folder, "text\tintent", train, held_out)


def entities(folder: Path) -> SmallTask:
    """Requests with people and places in them, a BIO tag for each word."""
    draw = random.Random(0)
    rows: set[str] = set()
    while len(rows) < 800:
        words: list[str] = []
        tags: list[str] = []
        for part in (draw.choice(REQUESTS) + draw.choice(ENDINGS)).split():
            kind = part[1:-1] if part.startswith("{") else ""
            name = draw.choice(PEOPLE if kind == "PER" else PLACES).split() if kind else [part]
            words += name
            tags += [f"B-{kind}", *(f"I-{kind}" for _ in name[1:])] if kind else ["O"]
        rows.add(f"{' '.join(words)}\t{' '.join(tags)}")
    lines = sorted(rows)
    draw.shuffle(lines)
    return make_task(folder, "text\ttags", lines[:560], lines[560:])


def make_task(folder: Path, header: str, train: Sequence[str], held_out: Sequence[str]) -> SmallTask:
    """Write the data and train a teacher on it, where an earlier run has not."""
    folder.mkdir(parents=True, exist_ok=True)
    task = SmallTask(folder / "teacher", folder / "train.tsv", folder / "dev.tsv", folder / "short.toml")
    for path, lines in ((task.data, train), (task.eval, held_out)):
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    task.recipe.write_text(SHORT, encoding="utf-8")
    if not task.model.exists():
        base = write_base(folder / "base", task.data)
        options = Options(epochs=4, batch_size=16, learning_rate=5e-4, label_smoothing=0.0, held_out=0.0)
        finetune(str(base), str(task.data), str(task.eval), task.model, options=options, console=Console(quiet=True))
    return task
