"""A speed profile: times of models of known shapes on one machine, from which the plan estimates those of others.

`edgepack profile` writes one of the machine that it runs on (`profile_machine.py`), or of a phone out of its device
reports (`device_profile.py`). The file holds what was measured, and nothing that was fitted but `scaled`: the plan's
prices are found when the file is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import ClassVar, Literal

from pydantic import Field

from edgepack.bounded import read_file
from edgepack.bundle.manifest import parse_model
from edgepack.bundle.record import Record
from edgepack.errors import InputError, bare
from edgepack.evidence.device import Milliseconds
from edgepack.plan.speed import BodyShape
from edgepack.plan.speed_fit import LEAST_SHAPES, Timed, shape_of
from edgepack.target import Target

MOST_BYTES = 1_000_000  # of a profile: it holds a few hundred figures


class ProfiledModel(Record):
    """A model's shape, and what it took: batch 1, one thread, by the number of tokens."""

    layers: int = Field(ge=1)
    heads: int = Field(ge=1)  # of each layer, as the next two
    head_size: int = Field(ge=1)
    ffn: int = Field(ge=1)
    hidden: int = Field(ge=1)
    embedding: int = Field(ge=1)
    vocabulary: int = Field(ge=1)
    token_labels: int = Field(default=0, ge=0)  # of each token; 0: the head reads the first token alone
    body_bits: int = Field(ge=1, le=32)
    embedding_bits: int = Field(ge=1, le=32)
    p50_ms: dict[int, Milliseconds] = Field(min_length=1)
    peak_bytes: int | None = Field(default=None, gt=0)  # of memory, above what the process had before the model

    def timed(self) -> Timed:
        """The same as the fit takes it."""
        size = (self.layers, self.heads, self.head_size, self.ffn, self.hidden)
        p50_us = {tokens: 1e3 * ms for tokens, ms in self.p50_ms.items()}
        body = BodyShape(*size, self.token_labels, self.body_bits)
        return Timed(body, self.embedding, self.vocabulary, self.embedding_bits, p50_us, self.peak_bytes)


class Scaled(Record):
    """Whose times a runtime's are, each multiplied by `factor`, where its own device ran too few shapes."""

    device: str = Field(min_length=1)
    factor: float = Field(gt=0, allow_inf_nan=False)


class RuntimeProfile(Record):
    """The models that ran in one runtime; `static_shape`: files of one length, which every text is padded to."""

    left_out: ClassVar[tuple[str, ...]] = ("scaled",)

    runtime: str = Field(min_length=1)  # as targets call it
    version: str = ""
    static_shape: bool = False
    scaled: Scaled | None = None  # absent: the device ran these models itself
    models: list[ProfiledModel] = Field(min_length=1)

    def timed(self) -> list[Timed]:
        """All models as the fit takes them."""
        return [model.timed() for model in self.models]


class SpeedProfile(Record):
    """What was measured on one machine."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    device: str = Field(min_length=1)
    os: str = Field(min_length=1)
    created: str = ""
    edgepack_version: str = ""
    load_average: float | None = Field(default=None, ge=0)  # of the last minute; much above 1: the times are too long
    runtimes: list[RuntimeProfile] = Field(min_length=1)

    def of(self, target: Target) -> RuntimeProfile | None:
        """What the runtime of a target took; None where it was not run."""
        key = (target.runtime, target.static_shape)
        return next((each for each in self.runtimes if (each.runtime, each.static_shape) == key), None)


def read_speed_profile(path: Path) -> SpeedProfile:
    """A profile from JSON; an `InputError` names the file and what is wrong."""
    content = read_file(path, MOST_BYTES, bare(str(path), 200))
    profile = parse_model(content, SpeedProfile, str(path), "give a file of `edgepack profile`")
    check_profile(profile, str(path))
    return profile


def check_profile(profile: SpeedProfile, where: str) -> None:
    """`InputError` where a runtime has too few models to tell the parts of a time from each other."""
    for each in profile.runtimes:
        shapes = len({shape_of(model) for model in each.timed()})
        if shapes < LEAST_SHAPES:
            raise InputError(
                f"{bare(where, 200)}: {bare(each.runtime)} has models of {shapes} shapes; at least {LEAST_SHAPES} are "
                "needed: run `edgepack profile` again, or add models that ran on the device"
            )


def known_tokens(models: Sequence[ProfiledModel]) -> tuple[int, int]:
    """The shortest and the longest text that was run."""
    counts = [tokens for model in models for tokens in model.p50_ms]
    return min(counts), max(counts)


def error_figures(errors: Sequence[float]) -> dict[str, float]:
    """What a result of `edgepack profile` says of a runtime's errors, as shares."""
    return {"median_error": round(median(errors), 4), "largest_error": round(max(errors), 4)}
