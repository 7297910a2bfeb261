"""The Android app: today its assets and a page on what to load; there is no template yet."""

from __future__ import annotations

from pathlib import Path

from edgepack.manifest import BundleManifest
from edgepack.package.project import AppOptions, copy_assets, model_path, write_readme

RUNTIMES = ("onnxruntime", "pytorch-lite")
PLACE = "app/src/main/assets/ of an Android project (keep the model uncompressed: `noCompress`)"

STEPS = """
`assets/` holds what the app needs. Copy it to {place}.

1. Read `edgepack.json`, load `tokenizer.bin` (docs/bundle.md has a reader's steps).
2. Load `{model}` in {runtime} {min_version} or newer; set `ORT_DISABLE_TELEMETRY=1` before ONNX Runtime loads.
3. Feed {inputs}; read {outputs}. The label is the place of the largest logit in `labels`.
"""


def write_project(bundle: Path, manifest: BundleManifest, options: AppOptions, folder: Path) -> None:
    """Write the assets and the page."""
    copy_assets(bundle, manifest, options, folder / "assets")
    steps = STEPS.format(
        place=PLACE,
        model=model_path(manifest),
        runtime=manifest.runtime.name,
        min_version=manifest.runtime.min_version,
        inputs=", ".join(f"`{tensor.name}` ({tensor.dtype})" for tensor in manifest.inputs),
        outputs=", ".join(f"`{tensor.name}`" for tensor in manifest.outputs),
    )
    not_verified = ("There is no app here yet: only the files that one needs.",)
    write_readme(
        bundle,
        manifest,
        options,
        folder,
        kind="Android assets",
        steps=steps,
        verified=(),
        not_verified=not_verified,
    )
