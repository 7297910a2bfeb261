"""Records that a bundle of its edition always has: one that was taken out is a fault, and so is an edition.

Older bundles have fewer records, and nothing tells them from ones whose records somebody removed. So a build writes
its edition, in manifest and verdict, and of a record that some builds have and others have not, why it is `without`.
A bundle without an edition is read as those of an older edgepack are.
"""

from __future__ import annotations

from edgepack.bundle.analysis import Analysis
from edgepack.bundle.manifest import BundleManifest
from edgepack.bundle.verdict import Verdict
from edgepack.evidence.analysis_consistency import other_names
from edgepack.task.task import Task


def edition_faults(manifest: BundleManifest, verdict: Verdict, task: Task) -> list[str]:
    """Records that the edition has and this bundle has not."""
    edition, own = manifest.edition, verdict.edition
    if edition != own:
        return [f"the manifest is of edition {edition or 1}, the verdict of edition {own or 1}"]
    if edition is None:
        return []
    reasons = verdict.without or {}
    absent = {
        "training": manifest.training is None and not task.embeds,
        "pooling": manifest.vector is not None and manifest.vector.pooling is None,
        "tag_scheme": manifest.tag_scheme is None and task.is_tagging,
        "linear": verdict.linear is None and not reasons.get("linear"),
        "confidence": verdict.confidence is None and task.has_temperature and not reasons.get("confidence"),
    }
    if "artifact" in verdict.metrics:
        absent |= absent_analysis(verdict.analysis or Analysis(), manifest, task)
    return [f"there is no record of {name}, which edition {edition} has" for name, gone in absent.items() if gone]


def absent_analysis(found: Analysis, manifest: BundleManifest, task: Task) -> dict[str, bool]:
    """Of what lies behind the metric."""
    calibrated = found.calibration
    losses = () if calibrated is None else (calibrated.artifact_log_loss, calibrated.scaled_log_loss)
    return {
        "noninferiority": found.noninferiority is None,
        "classes": not found.classes and bool(task.class_names),
        "calibration": task.has_temperature and (not losses or None in losses),
        "others": not found.others and bool(other_names(task)),
        "sureness": found.sureness is None and manifest.min_confidence is not None,
    }
