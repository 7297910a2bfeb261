"""The demo's task: commands to an assistant on a device, drawn from a seeded grammar (grammar.toml).

A phrasing is a template such as `wake me [up] at {clock}`. Each intent has its own phrasings for training
and others for the test split, so the test measures whether the model learned the intent and not the template;
names, places, times and songs fill both. The same seed gives the same files. It is a demonstration: real
speech is far more varied, and accuracy here does not predict accuracy there.
"""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TRAIN_PER_INTENT = 300
TEST_PER_INTENT = 50
POLITE_SHARE = 0.3
CHOICE = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Utterance:
    """A sentence, its intent, and the phrasing that it was made from."""

    text: str
    intent: str
    phrasing: str


@cache
def grammar() -> dict[str, Any]:
    """The parsed grammar: `slots`, `intents` with `train` and `test` phrasings, `politeness`."""
    return tomllib.loads(Path(__file__).with_name("grammar.toml").read_text(encoding="utf-8"))


def utterances(split: str, per_intent: int, seed: int = 0) -> list[Utterance]:
    """`per_intent` different sentences of each intent from the phrasings of `split` ("train" or "test")."""
    generator = random.Random(f"{seed}-{split}")
    drawn: dict[str, Utterance] = {}
    for intent, phrasings in grammar()["intents"].items():
        wanted = len(drawn) + per_intent
        while len(drawn) < wanted:
            phrasing = generator.choice(phrasings[split])
            text = _polite(_fill(_choose(phrasing, generator), generator), generator)
            drawn.setdefault(text, Utterance(text, intent, phrasing))
    shuffled = list(drawn.values())
    generator.shuffle(shuffled)
    return shuffled


def write_demo(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Write train.tsv and test.tsv (`text`, `intent`) into `folder`; no sentence is in both."""
    folder.mkdir(parents=True, exist_ok=True)
    test = utterances("test", TEST_PER_INTENT, seed)
    held_out = {utterance.text for utterance in test}
    train = [u for u in utterances("train", TRAIN_PER_INTENT, seed) if u.text not in held_out]
    return _write(folder / "train.tsv", train), _write(folder / "test.tsv", test)


def _choose(phrasing: str, generator: random.Random) -> str:
    def chosen(match: re.Match[str]) -> str:
        required, optional = match.groups()
        options = required.split("|") if required is not None else ["", *optional.split("|")]
        return generator.choice(options)

    return CHOICE.sub(chosen, phrasing)


def _fill(text: str, generator: random.Random) -> str:
    while SLOT.search(text):
        text = SLOT.sub(lambda match: generator.choice(grammar()["slots"][match[1]]), text)
    return text


def _polite(text: str, generator: random.Random) -> str:
    """Words around a command that say nothing about the intent."""
    politeness = grammar()["politeness"]
    before = generator.choice(politeness["before"]) if generator.random() < POLITE_SHARE else ""
    after = generator.choice(politeness["after"]) if generator.random() < POLITE_SHARE else ""
    return " ".join(f"{before} {text} {after}".split())


def _write(path: Path, rows: list[Utterance]) -> Path:
    lines = ["text\tintent", *(f"{row.text}\t{row.intent}" for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
