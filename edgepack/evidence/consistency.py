"""Manifest, verdict, goldens and side files say the same of one artifact, and name each other by hash.

`evidence_check` compares hashes: a file that was exchanged after the validation shows there. `consistency_check`
compares what they say, which shows what was changed everywhere at once. Neither runs the model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from edgepack.bundle.layout import SIDE_FILES, tokenizer_asset
from edgepack.bundle.linear import in_manifest
from edgepack.bundle.manifest import BundleManifest, is_model_file, task_of
from edgepack.bundle.verdict import VERDICT_NAME, Check, Verdict, faults_check
from edgepack.errors import InputError, bare
from edgepack.evidence.analysis_consistency import analysis_faults
from edgepack.evidence.edition import edition_faults
from edgepack.evidence.opened import OpenBundle
from edgepack.evidence.side_files import side_file_faults
from edgepack.evidence.sure import sure_faults
from edgepack.evidence.verdict_consistency import metric_faults, verdict_faults
from edgepack.target import Target, load_target
from edgepack.task.similarity import EMBEDS, POOLINGS

VERSION = re.compile(r"\d+(\.\d+)+[A-Za-z0-9.+!-]{0,80}")
SHA256 = re.compile(r"[0-9a-f]{64}")


def evidence_check(bundle: OpenBundle) -> Check:
    """The verdict was given on the very files that are here: model, tokenizer, goldens, side files."""
    verdict, manifest, target = bundle.verdict, bundle.manifest, bundle.target
    found = {record.path: record.sha256 for record in manifest.files}
    model = [path for path in found if is_model_file(path, target)]
    needed = [*model, *SIDE_FILES, tokenizer_asset(found)]
    if not verdict.judged:
        problems = ["the verdict names no file by hash: an older edgepack wrote it; run `edgepack build` again"]
        return faults_check("evidence", problems, "")
    problems = []
    for path in dict.fromkeys(needed):
        if path != VERDICT_NAME and verdict.judged.get(path) != found.get(path):
            known = "was given on other bytes" if path in verdict.judged else "names no hash"
            problems.append(f"{bare(path)}: the verdict {known}")
    absent = [path for path in verdict.judged if path not in found]
    problems += [f"{bare(path)}: the verdict names it, the bundle has none" for path in absent]
    return faults_check("evidence", problems, "the verdict names the files that are here")


def consistency_check(bundle: OpenBundle) -> Check:
    """What manifest, verdict, configs and model card say, compared with each other."""
    manifest, verdict, target = bundle.manifest, bundle.verdict, bundle.target
    problems = [f"{place} is {value}" for place, value in not_finite(manifest.model_dump(), "manifest")]
    problems += [f"{place} is {value}" for place, value in not_finite(verdict.model_dump(), "verdict")]
    problems += [f"manifest: {fault}" for fault in manifest_faults(manifest)]
    problems += [f"verdict: {fault}" for fault in verdict_faults(verdict)]
    problems += agreement_faults(manifest, verdict, target)
    with suppress(InputError):  # of a task that cannot be, which is said above
        task = task_of(manifest)
        problems += edition_faults(manifest, verdict, task)
        problems += [f"verdict: {fault}" for fault in analysis_faults(verdict, task)]
    problems += side_file_faults(bundle)
    return faults_check("consistency", problems, "manifest, verdict, configs and model card say the same")


def not_finite(value: Any, place: str) -> Iterator[tuple[str, float]]:
    """Places of numbers that are NaN or infinite, in plain data."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, float) and not math.isfinite(value):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from not_finite(inner, f"{place}.{bare(str(key))}")
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from not_finite(inner, f"{place}.{i}")


def training_faults(manifest: BundleManifest) -> list[str]:
    """What a manifest says of training and evaluation data that cannot be, or that no figure can stand on."""
    training, evaluation = manifest.training, manifest.evaluation
    if training is None:
        return []
    faults = [] if SHA256.fullmatch(training.sha256) else ["the training data's sha256 is none"]
    if evaluation is not None and training.sha256 == evaluation.sha256:
        faults.append("the evaluation data are the training data")
    return faults


def manifest_faults(manifest: BundleManifest) -> list[str]:
    """What no bundle's manifest can say."""
    faults = vector_faults(manifest) if manifest.task == EMBEDS else label_faults(manifest.labels)
    faults += training_faults(manifest)
    if manifest.budget_bytes < 1 or manifest.shipped_bytes < 1:
        faults.append("a bundle has more than 0 bytes, and a budget too")
    if not SHA256.fullmatch(manifest.teacher.sha256) or not manifest.teacher.name.strip():
        faults.append(f"teacher {bare(manifest.teacher.name)} has the sha256 {bare(manifest.teacher.sha256)}")
    if not VERSION.fullmatch(manifest.edgepack_version):
        faults.append(f"edgepack_version is {bare(manifest.edgepack_version)}")
    try:
        datetime.fromisoformat(manifest.created)
    except ValueError:
        faults.append(f"created is {bare(manifest.created)}, not a time")
    try:
        task = task_of(manifest)
    except InputError as e:
        return [*faults, str(e)]
    if task.is_multi_label:
        faults += threshold_faults(manifest)
    if manifest.temperature is not None and not task.has_temperature:
        faults.append("there is a temperature where no label of all is decided for")
    if manifest.min_confidence is not None and not task.may_be_unsure:
        faults.append("there is a min_confidence where texts have not one label each")
    if manifest.windows is not None and manifest.windows.combine != task.combine:
        faults.append(f"windows are combined by {manifest.windows.combine}; of this task it is {task.combine}")
    if any(record.name != task.metric_name for record in manifest.metrics.values()):
        faults.append(f"the metric of {task.name} is {task.metric_name}")
    return faults + metric_faults(manifest.metrics, "artifact" in manifest.metrics)


def threshold_faults(manifest: BundleManifest) -> list[str]:
    """What of the thresholds of label sets cannot be; those of the student were checked with the task."""
    faults = [] if manifest.thresholds else ["there is no threshold for each label"]
    teachers = manifest.teacher.thresholds or []
    if len(teachers) != len(manifest.labels) or not all(0 < each < 1 for each in teachers):
        faults.append("the teacher's thresholds are not one above 0 and below 1 for each label")
    return faults


def vector_faults(manifest: BundleManifest) -> list[str]:
    """What of a text's vector cannot be."""
    vector, faults = manifest.vector, []
    if vector is None:
        faults.append("it does not say what vectors it gives")
    elif [output.shape[-1:] for output in manifest.outputs] != [[vector.size]]:
        faults.append(f"vectors are of {vector.size} numbers, the output is not")
    if vector is not None and vector.pooling not in (None, *POOLINGS):
        faults.append(f"pooling is {bare(vector.pooling or 'empty')}, none of {', '.join(POOLINGS)}")
    if manifest.labels or manifest.temperature is not None:
        faults.append("vectors have no labels and no temperature")
    return faults


def label_faults(labels: list[str]) -> list[str]:
    """Names that cannot be a model's labels."""
    if not labels:
        return ["labels are empty"]
    twice = sorted({label for label in labels if labels.count(label) > 1})[:1] if len(labels) < 10_000 else []
    return [f"label {bare(label)} stands there twice" for label in twice]


def agreement_faults(manifest: BundleManifest, verdict: Verdict, target: Target) -> list[str]:
    """What manifest and verdict say differently."""
    pairs = (
        ("target", manifest.target, verdict.target),
        ("shipped_bytes", manifest.shipped_bytes, verdict.shipped_bytes),
        ("budget_bytes", manifest.budget_bytes, verdict.budget_bytes),
        ("metrics", manifest.metrics, verdict.metrics),
        ("linear", manifest.linear, in_manifest(verdict.linear)),
    )
    faults = [f"{what} differs between manifest and verdict" for what, one, other in pairs if one != other]
    faults += sure_faults(manifest, verdict)
    faults += measured_faults(verdict, target)
    data = manifest.evaluation
    if data is None:
        faults.append("the manifest does not say on which data the metrics are")
    elif not SHA256.fullmatch(data.sha256) or {r.n for r in manifest.metrics.values()} != {data.n}:
        faults.append("the evaluation data are not those of the metrics")
    size = verdict.check("size")
    if (size.value, size.limit) != (manifest.shipped_bytes, manifest.budget_bytes):
        faults.append("the verdict's check of size is not of the manifest's bytes and budget")
    return faults


def measured_faults(verdict: Verdict, target: Target) -> list[str]:
    """A verdict that was taken over from a target whose runtime does not run the same file."""
    if verdict.measured_as is None:
        return []
    try:
        other = load_target(verdict.measured_as)
    except InputError:
        return [f"the verdict was measured as {bare(verdict.measured_as)}, which is no target"]
    if other.name != target.name and (other.format, other.runtime) == (target.format, target.runtime):
        return []
    return [f"the verdict was measured as {other.name}, which is not another target with the runtime of {target.name}"]
