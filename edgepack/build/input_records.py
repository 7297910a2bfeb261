"""A build's manifest, and its request and inputs there: what was asked for, where it lay, and its content."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgepack._version import __version__
from edgepack.build.delivery import Made
from edgepack.build.inputs import BuildRequest, Inputs
from edgepack.build.recipe import recipe_record
from edgepack.build.results import artifact_record
from edgepack.bundle.manifest import BuildManifest, write_model
from edgepack.bundle.places import recorded_place


def write_manifest(
    inputs: Inputs,
    plan: dict[str, Any],
    stages: list[dict[str, Any]],
    libraries: dict[str, str],
    made: Made,
    linear: dict[str, Any],
) -> None:
    """OUT/edgepack.json. `plan`, `stages`, `linear`: their records; `libraries`: versions by name."""
    request = inputs.request
    manifest = BuildManifest(
        inputs=inputs_record(inputs),
        plan=plan,
        stages=stages,
        versions={"edgepack": __version__, **libraries},
        seed=request.seed,
        metrics={"teacher": asdict(inputs.teacher_metric), "metric": inputs.teacher.task.metric_name},
        artifacts=[artifact_record(bundle) for bundle in made.bundles.values()],
        missing=made.missing,
        runtimes=[pair.model_dump(mode="json") for pair in made.pairs],
        linear=linear,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_model(request.output / "edgepack.json", manifest)


def request_record(request: BuildRequest) -> dict[str, Any]:
    """A request as JSON; what lies on this machine is named relative to the output folder."""
    record = asdict(replace(request, recipe=None, speed_profile=None))
    for name in ("teacher", "train", "evaluation", "raw_text", "student_tokenizer"):
        if record[name] is not None:
            record[name] = recorded_place(str(record[name]), request.output)
    record["recipe"] = recipe_record(request.chosen_recipe)
    if request.speed_profile is not None:
        record["speed_profile"] = request.speed_profile.model_dump(mode="json", by_alias=True)
    return {name: str(value) if isinstance(value, Path) else value for name, value in record.items()}


def inputs_record(inputs: Inputs) -> dict[str, Any]:
    """The inputs in a build's manifest: places and content."""
    request, teacher = inputs.request, inputs.teacher
    weighed = sum(path.stat().st_size for path in teacher.checkpoint.files())
    record: dict[str, Any] = {
        "teacher": {"path": request.teacher, "sha256": teacher.sha256, "bytes": weighed},
        "train": {"path": request.train, "sha256": inputs.train_sha256},
        "evaluation": {"path": request.evaluation, "sha256": inputs.evaluation_data.sha256},
    }
    if inputs.pairing is not None:
        record["student_tokenizer"] = {"path": request.student_tokenizer, "sha256": inputs.pairing.other.sha256}
    return {**record, "request": request_record(request)}
