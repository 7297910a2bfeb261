"""The model in an app is the one that the gate saw: hashes against the manifest inside, and against the bundle.

`edgepack package` puts each bundle's `edgepack.json` with its files. Every shipped file that it names must be there
with its size and sha256; with `--bundle` each manifest's shipped files must be those of one of the gated bundles, and
with `--on-demand` the model may be left out of the app, but nothing else. A model file that no manifest names was
never gated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgepack.bundle.manifest import MANIFEST_NAME, BundleManifest, FileRecord, parse_model
from edgepack.errors import bare
from edgepack.inspect.archive import AppArchive, Entry
from edgepack.inspect.check import Check, verdict_of
from edgepack.target import load_target

LARGEST_MANIFESTS = 16 << 20  # bytes of all edgepack.json files; a real one has some thousand
MODEL_ENDINGS = (
    ".onnx", ".ort", ".ptl", ".pte", ".tflite", ".mlmodel", ".mlmodelc", ".mlpackage", ".aimodel", ".aimodelc",
)  # fmt: skip


@dataclass(frozen=True)
class AppBundle:
    """A bundle found in an app; `folder` ends with `/` and its manifest and files lie below it."""

    folder: str
    manifest: BundleManifest

    @property
    def model_path(self) -> str:
        """Where the model is in the archive, if it is."""
        return self.folder + load_target(self.manifest.target).file

    def shipped(self) -> dict[str, FileRecord]:
        """The records of shipped files, by their path in the archive."""
        return {self.folder + record.path: record for record in self.manifest.files if record.shipped}


def find_bundles(app: AppArchive) -> list[AppBundle]:
    """All bundles in the app's assets; `InputError` where a manifest cannot be read."""
    names = [e.name for e in app.entries if PurePosixPath(e.name).name == MANIFEST_NAME and is_asset(app, e)]
    return [
        AppBundle(name.removesuffix(MANIFEST_NAME), parse_model(data, BundleManifest, f"{app.path}: {bare(name)}"))
        for name, data in zip(names, app.read_all(names, LARGEST_MANIFESTS), strict=True)
    ]


def is_asset(app: AppArchive, entry: Entry) -> bool:
    """Whether an app can read this entry as a file of its own."""
    parts = PurePosixPath(entry.name).parts
    if app.kind == "ipa":
        return len(parts) > 2 and parts[0] == "Payload"
    return "assets" in parts[:2]


def check_bundle(bundles: Sequence[AppBundle], gated: Sequence[BundleManifest]) -> Check:
    """There is a bundle, and with gated ones given each is one of them."""
    faults = [] if bundles else [f"the app has no {MANIFEST_NAME} among its assets"]
    known = [shipped_hashes(manifest) for manifest in gated]
    for bundle in bundles:
        if known and shipped_hashes(bundle.manifest) not in known:
            faults.append(f"{bundle.folder}{MANIFEST_NAME} names other files than the gated bundle")
    fine = ", ".join(f"{b.folder} ({b.manifest.target})" for b in bundles)
    fine += " as gated" if gated else "; give --bundle to compare with the gated one"
    return verdict_of("bundle", faults, fine, "package the gated bundle")


def shipped_hashes(manifest: BundleManifest) -> dict[str, str]:
    """sha256 of each shipped file."""
    return {record.path: record.sha256 for record in manifest.files if record.shipped}


def check_models(app: AppArchive, bundles: Sequence[AppBundle], on_demand: bool) -> Check:
    """Every shipped file is there and is the manifest's, and there is no other model."""
    faults: list[str] = []
    named: set[str] = set()
    for bundle in bundles:
        named |= set(bundle.shipped())
        optional = bundle.model_path if on_demand else None
        faults += [
            fault for path, r in bundle.shipped().items() if (fault := file_fault(app, path, r, path == optional))
        ]
    faults += [
        f"{e.name} is a model that no manifest names" for e in app.entries if is_model(app, e) and not covered(e, named)
    ]
    fine = f"{len(named)} shipped files have the manifest's size and sha256" if bundles else "no bundle, no model"
    return verdict_of("model", faults, fine, "package the gated bundle again")


def file_fault(app: AppArchive, path: str, record: FileRecord, optional: bool) -> str | None:
    """What is wrong with one shipped file."""
    entry = app.find(path)
    if entry is None:
        return None if optional else f"{path} is missing"
    if entry.size != record.bytes:
        return f"{path} has {entry.size} bytes, the manifest's has {record.bytes}"
    digest = hashlib.sha256()
    for chunk in app.chunks(path):
        digest.update(chunk)
    if digest.hexdigest() != record.sha256:
        return f"{path} is not the manifest's file: its sha256 differs"
    return None


def is_model(app: AppArchive, entry: Entry) -> bool:
    """Whether an entry is a model, or in a folder that is one, by its ending."""
    return is_asset(app, entry) and any(part.endswith(MODEL_ENDINGS) for part in PurePosixPath(entry.name).parts)


def covered(entry: Entry, named: set[str]) -> bool:
    """Whether a manifest names this entry or a folder that it is in."""
    path = PurePosixPath(entry.name)
    return entry.name in named or any(str(folder) in named for folder in path.parents)


def needed_runtimes(bundles: Sequence[AppBundle]) -> frozenset[str]:
    """The runtimes that the bundles' manifests name."""
    return frozenset(bundle.manifest.runtime.name for bundle in bundles)


def model_entries(app: AppArchive) -> list[Entry]:
    """All model files among the assets."""
    return [entry for entry in app.entries if is_model(app, entry)]
