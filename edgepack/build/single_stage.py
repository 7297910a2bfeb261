"""The commands that run one stage of a finished build, or export a student folder by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgepack.build.flow import Build, open_build
from edgepack.build.inputs import BuildRequest, open_inputs
from edgepack.build.recipe import read_recipe
from edgepack.build.results import BuildResult
from edgepack.bundle.manifest import load_build_manifest
from edgepack.bundle.places import check_same, find_place
from edgepack.console import Console, format_table
from edgepack.errors import InputError, one_line
from edgepack.evidence.speed_profile import SpeedProfile
from edgepack.export import Artifact, export
from edgepack.export.support import MIXED
from edgepack.parameters import LatencyLimit
from edgepack.student.folder import load_student
from edgepack.student.model import Student
from edgepack.target import Target, load_target
from edgepack.task.examples import Columns
from edgepack.workspace import Workspace, named_output, refuse_inside

FLAGS = {
    "teacher": "-m",
    "train": "-d",
    "evaluation": "--eval",
    "raw_text": "--raw-text",
    "student_tokenizer": "--student-tokenizer",
}


@dataclass(frozen=True)
class Moved:
    """Where the user says that a build's inputs are now; None: as the build recorded them."""

    teacher: str | None = None
    train: str | None = None
    evaluation: str | None = None
    raw_text: Path | None = None
    student_tokenizer: str | None = None


def reopen(output: Path, console: Console, moved: Moved = Moved()) -> Build:
    """The build that wrote `output`, with the request that its manifest records and its inputs where they are now."""
    manifest = load_build_manifest(output)
    with _as_this_version_has_it(output):
        record = dict(manifest.inputs["request"])
        if "text" in record:  # its name before
            record["raw_text"] = record.pop("text")
        record.setdefault("student_tokenizer", None)  # of a build before there was one
        recorded = {**manifest.inputs, "request": record.copy()}
        record["columns"] = Columns(**record["columns"])
        record["targets"] = tuple(record["targets"])
        record["recipe"] = read_recipe(record["recipe"])
        if record.get("max_latency") is not None:
            record["max_latency"] = LatencyLimit(**record["max_latency"])
        if record.get("speed_profile") is not None:
            record["speed_profile"] = SpeedProfile.model_validate(record["speed_profile"])
        for name, flag in FLAGS.items():
            now = getattr(moved, name)
            if record[name] is None and now is not None:
                raise InputError(f"{flag} {now}: the build in {output} had none; leave it out")
            if record[name] is not None:
                record[name] = find_place(output, recorded, name, None if now is None else str(now), flag)
        record["raw_text"] = Path(record["raw_text"]) if record["raw_text"] else None
        request = BuildRequest(**{**record, "output": output, "fresh": False})

    def compare(found: dict[str, str]) -> None:
        with _as_this_version_has_it(output):
            hashes = {name: str(manifest.inputs[name]["sha256"]) for name in found}
        for name, sha256 in found.items():
            check_same(name, getattr(request, name), sha256, hashes[name], FLAGS[name])

    inputs = open_inputs(request, console, compare)
    return open_build(request, Workspace(output), console, inputs, finished_only=True)


@contextmanager
def _as_this_version_has_it(output: Path) -> Iterator[None]:
    """`InputError` where a build's record lacks something, or has something else in its place."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValidationError) as e:
        raise InputError(
            f"{output}: its record of the build is of another version of edgepack; build again ({one_line(e)})"
        ) from e


def validate_output(output: Path, console: Console, moved: Moved = Moved()) -> BuildResult:
    """Run the artifacts of a finished build again and write verdicts and bundles anew."""
    build = reopen(output, console, moved)
    with build.workspace.lock():
        build.workspace.forget("validate-")
        return build.run()


def bundle_output(output: Path, console: Console, moved: Moved = Moved()) -> BuildResult:
    """Write the bundles of a finished build anew."""
    build = reopen(output, console, moved)
    with build.workspace.lock():
        return build.run()


@dataclass(frozen=True)
class ExportResult:
    """What `edgepack export` wrote."""

    artifacts: tuple[Artifact, ...]

    def to_record(self) -> dict[str, Any]:
        """Path and bytes by target."""
        return {a.target.name: {"path": str(a.path), "bytes": a.size_bytes} for a in self.artifacts}

    def table(self) -> str:
        """A line for each artifact."""
        return format_table(
            [["target", "bytes", "file"], *([a.target.name, f"{a.size_bytes:,}", str(a.path)] for a in self.artifacts)]
        )


def export_student(
    folder: Path,
    targets: tuple[str, ...],
    output: Path,
    body_bits: int | None,
    embedding_bits: int | None,
    console: Console,
) -> ExportResult:
    """Export a student folder for each target under `output/<target>`, at its own bit widths or at those given.

    `body_bits` is that of every matrix, also where the student has widths for single ones.
    """
    refuse_inside(output, folder, "the student")
    student = load_student(folder)
    if body_bits is not None and (student.config.widths or body_bits != student.config.body_bits):
        student.config.widths = {}  # those of single matrices
        student.forget_scales()
    student.set_bits(body_bits or student.config.body_bits, embedding_bits or student.config.embedding_bits)
    found = [load_target(name) for name in dict.fromkeys(targets)]
    for target in found:
        check_bits(student, target)
    artifacts = []
    for target in found:
        with named_output(output):
            artifacts.append(export(student, target, output / target.name))
        console.info(f"{target.name}: {artifacts[-1].path}")
    return ExportResult(tuple(artifacts))


def check_bits(student: Student, target: Target) -> None:
    """Refuse widths that the target cannot run, before anything is written."""
    if student.config.widths and target.format not in MIXED:
        raise InputError(
            f"this student has bit widths of single matrices, and {target.name} stores every matrix at one; give "
            f"--body-bits, or a target of format {' or '.join(MIXED)}"
        )
    for field in ("body_bits", "embedding_bits"):
        wanted, allowed = getattr(student.config, field), getattr(target, field)
        if wanted not in allowed:
            choices = ", ".join(map(str, allowed))
            raise InputError(
                f"{field} {wanted} for {target.name}; allowed: {choices}; give --{field.replace('_', '-')}"
            )
