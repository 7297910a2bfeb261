"""What lies in a bundle's folder: the files that the manifest records, whole and the right ones, and nothing else.

Nothing is followed out of the folder: a link is a fault wherever it stands, the manifest included, since what it leads
to may be other bytes tomorrow. The folder itself may lie behind a link. Every file that an app or a later
command needs must be there, and those that ship are exactly the model and the tokenizer asset.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edgepack.bundle.layout import SIDE_FILES, colliding, is_plain, tokenizer_asset
from edgepack.bundle.manifest import MANIFEST_NAME, MOST_BYTES, BundleManifest, FileRecord, is_model_file, load_manifest
from edgepack.bundle.signature import SIGNATURE_NAME, stale_signature
from edgepack.bundle.verdict import Check, faults_check, limit_check, summarize
from edgepack.errors import InputError, bare
from edgepack.evidence.policy import Policy
from edgepack.target import Target, load_target
from edgepack.workspace import sha256_file

LARGEST_SHIPPED = 1 << 30  # bytes of a model's file, which is read whole: no phone takes an app of so many
MOST_ENTRIES = 10_000  # of a folder that is walked; a bundle has about ten


def files_check(folder: Path, manifest: BundleManifest, target: Target) -> Check:
    """All recorded files, whole and in their places; none missing that is needed, none there unrecorded.

    A signature that is there has to be one of this manifest; whose it is, is asked with a key.
    """
    problems = file_faults(folder, manifest, target)
    if not problems and (folder / SIGNATURE_NAME).is_file():
        problems += [fault] if (fault := stale_signature(folder)) else []
    return faults_check("files", problems, f"{len(manifest.files)} files are as recorded")


def file_faults(folder: Path, manifest: BundleManifest, target: Target) -> list[str]:
    """What of a bundle's files is not as the manifest records it."""
    return [*name_faults(manifest), *required_faults(manifest, target), *folder_faults(folder, manifest)]


def refuse_changed(folder: Path, refused: str) -> None:
    """`InputError` for a bundle whose files are not those of its manifest; `refused`: what is not done, as `signed`."""
    manifest = load_manifest(folder)
    faults = file_faults(folder, manifest, load_target(manifest.target))
    if faults:
        raise InputError(
            f"{folder} is not as its manifest records it, so it is not {refused}: {summarize(faults)}; take a whole "
            "copy, or build it again"
        )


def name_faults(manifest: BundleManifest) -> list[str]:
    """Recorded names that are no plain path inside the bundle, or not one file's alone."""
    paths = [record.path for record in manifest.files]
    faults = [f"{bare(path)}: is no plain relative path" for path in paths if not is_plain(path)]
    faults += [f"{bare(path)}: is recorded {count} times" for path, count in Counter(paths).items() if count > 1]
    same = colliding(dict.fromkeys([MANIFEST_NAME, *paths]))
    return faults + [f"{bare(path)}: differs from another path by capitals alone" for path in same]


def required_faults(manifest: BundleManifest, target: Target) -> list[str]:
    """Files that a bundle must have and this one does not record, ones that no bundle has, and what ships wrongly.

    A further file is nothing that the verdict looked at, and what reads the folder may take it for its own:
    transformers.js an `onnx/model.onnx`, transformers a `special_tokens_map.json`.
    """
    shipped = {record.path: record.shipped for record in manifest.files}
    asset = tokenizer_asset(shipped)
    model = [path for path in shipped if is_model_file(path, target)]
    needed = (*SIDE_FILES, asset, *([] if model else [target.file]))
    faults = [f"{name}: is not recorded" for name in dict.fromkeys(needed) if name not in shipped]
    if MANIFEST_NAME in shipped:
        faults.append(f"{MANIFEST_NAME}: records itself")
    further = [path for path in shipped if path not in (*needed, *model, MANIFEST_NAME)]
    faults += [f"{bare(path)}: is no file of a bundle" for path in further]
    for path, ships in shipped.items():
        must = path == asset or path in model
        if ships != must:
            faults.append(f"{bare(path)}: {'must ship' if must else 'must not count as shipped'}")
    return faults


def folder_faults(folder: Path, manifest: BundleManifest) -> list[str]:
    """What is in the folder compared with the records."""
    found = dict(entries(folder))
    if len(found) > MOST_ENTRIES:
        return [f"the folder holds more than {MOST_ENTRIES} files"]
    faults = []
    if not stat.S_ISREG(found.get(MANIFEST_NAME, 0)):
        faults.append(f"{MANIFEST_NAME}: is a link, not a file")
    for record in manifest.files:
        fault = file_fault(folder, record, found)
        if fault:
            faults.append(f"{bare(record.path)}: {fault}")
    recorded = {record.path for record in manifest.files} | {MANIFEST_NAME}
    if stat.S_ISREG(found.get(SIGNATURE_NAME, 0)):  # it signs the manifest, so the manifest cannot record it
        recorded.add(SIGNATURE_NAME)
    unknown = sorted(set(found) - recorded)
    return faults + [f"{bare(name)}: is not recorded" for name in unknown]


def file_fault(folder: Path, record: FileRecord, found: dict[str, int]) -> str | None:
    """What is wrong with one recorded file; it is opened only where it is a file of the recorded size."""
    mode = found.get(record.path)
    if mode is None:
        above = {"/".join(record.path.split("/")[:depth]) for depth in range(1, record.path.count("/") + 1)}
        return "is behind a link, outside the bundle" if above & set(found) else "is missing"
    if stat.S_ISLNK(mode):
        return "is a link, not inside the bundle"
    if not stat.S_ISREG(mode):
        return "is no file"
    path = folder / record.path
    size = path.stat().st_size
    if size != record.bytes:
        return f"has {size} bytes, {record.bytes} recorded"
    most = LARGEST_SHIPPED if record.shipped else MOST_BYTES
    if size > most:
        return f"has {size:,} bytes; at most {most:,} are read"
    return None if sha256_file(path) == record.sha256 else "its sha256 is not the recorded one"


def entries(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and mode of everything in `folder` but folders; links are not followed."""
    waiting, count = [""], 0
    while waiting:
        inside = waiting.pop()
        with os.scandir(folder / inside) as scanned:
            for entry in scanned:
                count += 1
                if count > 2 * MOST_ENTRIES:
                    return
                name = f"{inside}/{entry.name}" if inside else entry.name
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    waiting.append(name)
                else:
                    yield name, mode


def size_check(manifest: BundleManifest, policy: Policy) -> Check:
    """Shipped bytes, added up again from the files, against the policy's limit or the budget."""
    shipped = sum(record.bytes for record in manifest.files if record.shipped)
    if shipped != manifest.shipped_bytes:
        reason = f"shipped files have {shipped} bytes, the manifest says {manifest.shipped_bytes}"
        return Check(name="size", status="failed", value=shipped, limit=manifest.shipped_bytes, reason=reason)
    limit = manifest.budget_bytes if policy.max_bytes is None else policy.max_bytes
    return limit_check("size", shipped, limit, True, "shipped bytes")
