"""From a bundle to an app's project folder: today the assets alone, checked, with a page on what to load.

    DIR/assets/   the files that the bundle ships, its manifest and its golden vectors
    DIR/README.md what the app has to load, in which order, and how to know that it did so correctly

Each file is compared with the manifest's length and sha256 before it counts, and DIR appears by one rename.
There are no app templates yet (sample_apps/README.md): the page is the same for the three kinds of app but
for where assets go.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgepack.errors import CheckFailed, InputError
from edgepack.golden import GOLDEN_NAME
from edgepack.manifest import MANIFEST_NAME, BundleManifest, FileRecord, is_model_file, load_manifest
from edgepack.target import load_target
from edgepack.workspace import publish_folder, sha256_file, write_atomic

ASSET_PLACES = {
    "android": "app/src/main/assets/ of an Android project (keep the model uncompressed: `noCompress`)",
    "ios": "the target's Copy Bundle Resources in Xcode, as a folder reference",
    "web": "a folder that your server sends as static files",
}

README = """# {target} for {app}

`assets/` holds what an app ships: {shipped_bytes:,} bytes. Copy it to {place}.

1. Read `{manifest}`: task {task}, {label_count} labels, at most {max_length} tokens.
2. Load the tokenizer: {tokenizer}.
3. Load the model in {runtime} {min_version} or newer: `{model}`.
4. Feed {inputs}; read {outputs}. The label is the place of the largest logit in `labels`.
5. Run the lines of `{goldens}`: the ids must be equal, the logits equal up to rounding.

Set `ORT_DISABLE_TELEMETRY=1` before ONNX Runtime loads. Nothing in here needs a network.
"""


@dataclass(frozen=True)
class Packaged:
    """A project folder and the files in it, relative."""

    folder: Path
    app: str
    files: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {"app": self.app, "folder": str(self.folder), "files": list(self.files)}


def package_bundle(bundle: Path, app: str, output: Path, force: bool = False) -> Packaged:
    """Fill `output` from `bundle` for `app` (android, ios, web); `CheckFailed` if a file is not the manifest's."""
    if app not in ASSET_PLACES:
        raise InputError(f"app is {app!r}; allowed: {', '.join(ASSET_PLACES)}")
    manifest = load_manifest(bundle)
    if output.exists() and not output.is_dir():
        raise InputError(f"output {output} is a file; give a new or empty folder")
    if output.is_dir() and any(output.iterdir()) and not force:
        raise InputError(f"output {output} is not empty; give a new folder, or --force to replace it")
    beside = output.with_name(f".{output.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        _fill(bundle, manifest, app, beside)
        publish_folder(beside, output)
    except OSError as e:
        raise InputError(f"output {output} cannot be written: {e.strerror}; give a folder you may write to") from e
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    return Packaged(output, app, tuple(files))


def _fill(bundle: Path, manifest: BundleManifest, app: str, folder: Path) -> None:
    assets = folder / "assets"
    assets.mkdir(parents=True)
    for record in manifest.files:
        if record.shipped or record.path == GOLDEN_NAME:
            _copy_checked(bundle, record, assets)
    shutil.copyfile(bundle / MANIFEST_NAME, assets / MANIFEST_NAME)
    write_atomic(folder / "README.md", _readme(manifest, app).encode())


def _copy_checked(bundle: Path, record: FileRecord, assets: Path) -> None:
    relative = PurePosixPath(record.path)
    if relative.is_absolute() or ".." in relative.parts:
        raise CheckFailed(f"bundle {bundle}: its manifest names {record.path}, outside the bundle; do not ship it")
    copy = assets / relative
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(bundle / relative, copy)
    except FileNotFoundError as e:
        raise CheckFailed(f"bundle {bundle}: {record.path} is missing; run `edgepack gate` on it") from e
    if copy.stat().st_size != record.bytes or sha256_file(copy) != record.sha256:
        raise CheckFailed(f"bundle {bundle}: {record.path} is not the manifest's file; run `edgepack gate` on it")


def _readme(manifest: BundleManifest, app: str) -> str:
    shipped = [record.path for record in manifest.files if record.shipped]
    target = load_target(manifest.target)
    return README.format(
        target=manifest.target,
        app=app,
        shipped_bytes=manifest.shipped_bytes,
        place=ASSET_PLACES[app],
        manifest=MANIFEST_NAME,
        task=manifest.task,
        label_count=len(manifest.labels),
        max_length=manifest.max_length,
        tokenizer=", ".join(f"`{path}`" for path in shipped if not is_model_file(path, target)),
        runtime=manifest.runtime.name,
        min_version=manifest.runtime.min_version,
        model=target.file,
        inputs=", ".join(f"`{tensor.name}` ({tensor.dtype})" for tensor in manifest.inputs),
        outputs=", ".join(f"`{tensor.name}`" for tensor in manifest.outputs),
        goldens=GOLDEN_NAME,
    )
