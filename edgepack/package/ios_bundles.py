"""The bundles of one iOS app: the one that was asked for, and those for phones whose system cannot run it.

Core AI needs iOS 27, Core ML iOS 18, ONNX Runtime neither. An app that holds several opens the first whose runtime is
there, so each must be for older systems than the one before, and all must answer alike: they are of one build.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from edgepack.errors import InputError
from edgepack.package.pins import ios_target, numbers
from edgepack.package.project import PlacedBundle, shipped_records
from edgepack.tokenizer.asset import ASSET_NAME

# What an app shows of an answer depends on these; thresholds, chains and temperatures are each bundle's own.
ALIKE = (
    *("task", "pair", "problem", "labels", "tag_scheme", "activation", "ranks", "vector"),
    *("max_length", "windows", "padding", "teacher"),
)


def oldest_ios(bundle: PlacedBundle) -> str:
    """The oldest iOS that it runs on: the template's, or what the system's runtime needs (`iOS 18`)."""
    own, needed = ios_target(), bundle.manifest.runtime.min_version
    is_newer = needed.startswith("iOS ") and numbers(needed) > numbers(own)
    return ".".join(map(str, numbers(needed))) + ".0" if is_newer else own


def check_bundles(bundles: Sequence[PlacedBundle]) -> None:
    """`InputError` where one would never be opened, or is not of the first one's build."""
    for before, this in pairwise(bundles):
        if numbers(oldest_ios(this)) >= numbers(oldest_ios(before)):
            raise InputError(
                f"fallback {this.folder} needs iOS {oldest_ios(this)}, and {before.folder} before it iOS "
                f"{oldest_ios(before)}: no phone would open it; give a bundle for an older system, or name them in "
                "another order"
            )
        check_alike(bundles[0], this)


def check_alike(first: PlacedBundle, other: PlacedBundle) -> None:
    """Refuse a bundle that is not of the same build."""
    differ = [name for name in ALIKE if getattr(first.manifest, name) != getattr(other.manifest, name)]
    if tokenizer_of(first) != tokenizer_of(other):
        differ.append("tokenizer")
    if differ:
        raise InputError(
            f"fallback {other.folder} has another {differ[0]} than {first.folder}; give a bundle of the same build"
        )


def tokenizer_of(bundle: PlacedBundle) -> set[str]:
    """Hashes of the tokenizer's asset."""
    return {record.sha256 for record in shipped_records(bundle.manifest) if record.path == ASSET_NAME}
