"""The bundles of one iOS app: the one that was asked for, and those for phones whose system cannot run it.

Core AI needs iOS 27, Core ML iOS 18, ONNX Runtime neither. An app that holds several opens the first whose runtime is
there, so each must be for older systems than the one before, and all must answer alike: they are of one build.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgepack.bundle.manifest import BundleManifest, load_manifest
from edgepack.errors import InputError
from edgepack.package.pins import load_pins, numbers
from edgepack.package.project import AppOptions, shipped_records
from edgepack.target import SYSTEM_RUNTIMES
from edgepack.tokenizer.asset import ASSET_NAME

# What an app shows of an answer depends on these; thresholds and temperatures are each bundle's own.
ALIKE = (
    *("task", "pair", "problem", "labels", "tag_scheme", "activation", "ranks", "vector"),
    *("max_length", "windows", "padding", "teacher"),
)


@dataclass(frozen=True)
class IosBundle:
    """A bundle and where it stands below the app's `assets/`: `place` is empty for the one that was asked for."""

    folder: Path
    manifest: BundleManifest
    place: str = ""

    @property
    def runtime(self) -> str:
        """As the manifest has it."""
        return self.manifest.runtime.name

    @property
    def links(self) -> bool:
        """Whether the app links a library for it."""
        return self.runtime not in SYSTEM_RUNTIMES

    @property
    def oldest(self) -> str:
        """The oldest iOS that it runs on: the template's, or what the system's runtime needs (`iOS 18`)."""
        own, needed = template_target(), self.manifest.runtime.min_version
        is_newer = needed.startswith("iOS ") and numbers(needed) > numbers(own)
        return ".".join(map(str, numbers(needed))) + ".0" if is_newer else own

    @property
    def assets(self) -> str:
        """Its folder in the project."""
        return f"assets/{self.place}".rstrip("/")


def template_target() -> str:
    """The oldest iOS that the template's own code runs on."""
    return next(pin.version for pin in load_pins() if pin.name == "iOS")


def bundles_of(bundle: Path, manifest: BundleManifest, options: AppOptions) -> tuple[IosBundle, ...]:
    """All bundles of the app in the order in which it tries them; `InputError` where one would never be opened."""
    found = [IosBundle(bundle, manifest)]
    for folder in options.fallback:
        fallback, before = load_manifest(folder), found[-1]
        this = IosBundle(folder, fallback, fallback.runtime.name)
        if numbers(this.oldest) >= numbers(before.oldest):
            raise InputError(
                f"fallback {folder} needs iOS {this.oldest}, and {before.folder} before it iOS {before.oldest}: no "
                "phone would open it; give a bundle for an older system, or name them in another order"
            )
        check_alike(found[0], this)
        found.append(this)
    return tuple(found)


def check_alike(first: IosBundle, other: IosBundle) -> None:
    """Refuse a bundle that is not of the same build."""
    differ = [name for name in ALIKE if getattr(first.manifest, name) != getattr(other.manifest, name)]
    if tokenizer_of(first) != tokenizer_of(other):
        differ.append("tokenizer")
    if differ:
        raise InputError(
            f"fallback {other.folder} has another {differ[0]} than {first.folder}; give a bundle of the same build"
        )


def tokenizer_of(bundle: IosBundle) -> set[str]:
    """Hashes of the tokenizer's asset."""
    return {record.sha256 for record in shipped_records(bundle.manifest) if record.path == ASSET_NAME}
