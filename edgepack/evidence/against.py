"""What the gate holds bundles against, other than themselves: data, teacher, an earlier bundle, devices, targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgepack.bundle.manifest import BundleManifest, artifact_sha256, load_manifest
from edgepack.errors import EdgepackError
from edgepack.evidence.device import DeviceReport, refuse_foreign
from edgepack.evidence.metric_check import Given
from edgepack.target import load_target


@dataclass(frozen=True, eq=False)
class Against:
    """`given`: data, and the teacher that answers them too; `missing_targets`: of those that the policy requires."""

    given: Given | None = None
    baseline: Path | None = None
    reports: tuple[DeviceReport, ...] = ()
    student: Path | None = None
    missing_targets: tuple[str, ...] = ()


def readable_manifests(bundles: Sequence[Path]) -> Iterator[BundleManifest]:
    """Those that read; a damaged one is a failed check of its bundle."""
    for folder in bundles:
        with suppress(EdgepackError):
            yield load_manifest(folder)


def refuse_unused(reports: Sequence[DeviceReport], bundles: Sequence[Path]) -> None:
    """`InputError` for a device report of an artifact that none of the bundles holds."""
    known = set()
    for manifest in readable_manifests(bundles) if reports else ():
        with suppress(EdgepackError):  # an unknown target
            known.add(artifact_sha256(manifest))
    refuse_foreign(reports, known)


def missing_targets(required: Sequence[str], bundles: Sequence[Path]) -> tuple[str, ...]:
    """Required targets without a bundle; `InputError` for a name that no target has."""
    for name in required:
        load_target(name)
    given = {manifest.target for manifest in readable_manifests(bundles)} if required else set()
    return tuple(name for name in required if name not in given)
