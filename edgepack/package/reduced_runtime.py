"""What a runtime with one bundle's operators alone is built from: the operators, and the model in the runtime's format.

A runtime as vendors ship it has kernels for every model. Built from source it can leave out what a bundle does not use;
this writes the list that such a build takes. Nothing is built here, and how small the runtime becomes is not known.

ONNX Runtime (`required_operators.config`, with types): operators of the file as it ships and after each level of graph
optimization, since a runtime needs kernels for all of them on its way from one to the other; so it opens the bundle's
own file, and `model.ort`. That one is optimized as far as suits every processor, and its goldens are run here. It is
larger than the bundle's file, which holds weights of few bits and the steps that unpack them.

ExecuTorch (`selected_operators.yaml`): portable and quantized kernels with their types, read out of the program by
ExecuTorch's own `gen_oplist`. What XNNPACK computes is inside XNNPACK, which is linked whole.
"""

from __future__ import annotations

import logging
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version as version_of
from io import StringIO
from pathlib import Path
from typing import Any

from edgepack._version import __version__
from edgepack.bundle.goldens import GOLDEN_NAME, compare_goldens, load_tokenizer, read_goldens, with_length
from edgepack.bundle.manifest import BundleManifest, artifact_sha256, load_manifest
from edgepack.errors import CheckFailed, InputError, MissingDependency
from edgepack.package import check_output
from edgepack.package.pins import ios_target
from edgepack.package.project import check_file, model_path
from edgepack.package.template import read_template
from edgepack.parameters import format_size
from edgepack.target import load_target
from edgepack.tokenizer.asset import JSON_ASSET_NAME
from edgepack.workspace import write_atomic, written_folder

CONFIG_NAME, ORT_NAME, YAML_NAME, PAGE_NAME = (
    "required_operators.config",
    "model.ort",
    "selected_operators.yaml",
    "README.md",
)
KEPT_LEVEL = "ORT_ENABLE_EXTENDED"  # of `model.ort`: what comes after it depends on the processor
ONNX_FLAGS = {  # of ONNX Runtime's build.sh, by the target's device
    "android": '--android --android_abi arm64-v8a --android_api {min_sdk} --android_sdk_path "$ANDROID_HOME" \\\n'
    '  --android_ndk_path "$ANDROID_NDK_HOME" --build_shared_lib --build_java',
    "ios": "--use_xcode --ios --apple_sysroot iphoneos --osx_arch arm64 --apple_deploy_target {ios} "
    "--build_apple_framework",
    "web": "--build_wasm --enable_wasm_simd --enable_wasm_threads --disable_rtti",
    "linux": "--build_shared_lib",
}
PAGE_HEAD = """# {runtime} for one model

What a build of {runtime} {version} takes that has the operators of one bundle alone. The bundle is for `{target}`, its
model has the sha256 `{sha256}`. Written by edgepack {edgepack}.
"""
ONNX_PAGE = """
| file | what it is |
|---|---|
| `{config}` | {count} operators, with the types that they are used with |
| `{ort}` | the model in ONNX Runtime's own format, {ort_bytes:,} bytes; the bundle's file has {model_bytes:,} |

## Build it

On a machine with ONNX Runtime's tools for {device}; `HERE` is this folder. Of the version that wrote the list, since
another one may optimize the model into other operators:

```bash
git clone --depth 1 --recursive --branch v{version} https://github.com/microsoft/onnxruntime
cd onnxruntime
./build.sh --config MinSizeRel --skip_tests --parallel --disable_ml_ops \\
  --include_ops_by_config HERE/{config} --enable_reduced_operator_type_support \\
  {flags}
```

The result takes the place of the library that an app links, and is meant to open the bundle's own file, `{model}`.
With `--minimal_build --disable_exceptions` it is smaller again and opens `{ort}` alone, which an app then ships
instead: compare what the runtime saves with the {grown} that the model grows by.

## Verified

- `{ort}` gives the bundle's {goldens} golden vectors in ONNX Runtime {version}, on this machine.

## Not verified

- No runtime was built from the list, so its size is not known, and nothing was run in one.
- Optimizations that ONNX Runtime makes on other processors alone were not seen. `{ort}` is not optimized again.
"""
EXECUTORCH_PAGE = """
| file | what it is |
|---|---|
| `{yaml}` | {count} operators that the program calls outside XNNPACK, with types and dimension orders |

## Build it

On a machine with ExecuTorch's tools for {device}; `HERE` is this folder. ExecuTorch's page on selective builds has the
options of each platform:

```bash
git clone --depth 1 --recursive --branch v{version} https://github.com/pytorch/executorch
cmake -S executorch -B out -DEXECUTORCH_BUILD_XNNPACK=ON -DEXECUTORCH_BUILD_KERNELS_QUANTIZED=ON \\
  -DEXECUTORCH_SELECT_OPS_YAML=HERE/{yaml}
cmake --build out
```

To leave out types as well, give the model itself instead of the list: `-DEXECUTORCH_SELECT_OPS_MODEL=…/{model}
-DEXECUTORCH_DTYPE_SELECTIVE_BUILD=ON`. Operators that begin with `quantized_decomposed` are in the library of quantized
kernels. XNNPACK is linked whole.

## Verified

- The list was read from the bundle's program by ExecuTorch {version}.

## Not verified

- No runtime was built from the list, so its size is not known, and nothing was run in one.
"""


@dataclass(frozen=True)
class ReducedRuntime:
    """A folder with what a reduced runtime is built from; `operators` as the list names them."""

    folder: Path
    runtime: str
    version: str
    operators: tuple[str, ...]
    files: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "folder": str(self.folder),
            "runtime": self.runtime,
            "version": self.version,
            "operators": list(self.operators),
            "files": list(self.files),
        }


def reduce_runtime(bundle: Path, output: Path) -> ReducedRuntime:
    """Write into `output`, a new or empty folder, what a runtime with the bundle's operators alone is built from.

    `InputError` for a runtime that is not built so; `CheckFailed` where a file of the bundle is not its manifest's, or
    the converted model does not give the bundle's goldens.
    """
    manifest = load_manifest(bundle)
    writer = WRITERS.get(manifest.runtime.name)
    if writer is None:
        raise InputError(
            f"bundle {bundle} is for {manifest.runtime.name}; reduced runtimes are described for {', '.join(WRITERS)}"
        )
    check_output(output, bundle, force=False)
    for record in manifest.files:
        check_file(bundle, record)
    with written_folder(output) as beside:
        beside.mkdir()
        version, operators, page = writer(bundle, manifest, beside)
        head = PAGE_HEAD.format(
            runtime=manifest.runtime.name,
            version=version,
            target=manifest.target,
            sha256=artifact_sha256(manifest),
            edgepack=__version__,
        )
        write_atomic(beside / PAGE_NAME, (head + page).encode())
    files = sorted(path.name for path in output.iterdir())
    return ReducedRuntime(output, manifest.runtime.name, version, operators, tuple(files))


Written = tuple[str, tuple[str, ...], str]  # the runtime's version, the operators, the page


def write_onnx(bundle: Path, manifest: BundleManifest, folder: Path) -> Written:
    """`required_operators.config` and `model.ort`."""
    from edgepack.runtime import onnxruntime

    model, work = bundle / model_path(manifest), folder / "work"
    work.mkdir()
    levels, version = onnxruntime.save_ort_format(model, work), onnxruntime.version()
    operators = write_config(list(levels.values()), folder / CONFIG_NAME, f"{artifact_sha256(manifest)}, {version}")
    levels[KEPT_LEVEL].rename(folder / ORT_NAME)
    shutil.rmtree(work)
    goldens = list(read_goldens(bundle / GOLDEN_NAME))
    tokenizer = with_length(load_tokenizer(bundle / JSON_ASSET_NAME), manifest.longest)
    session = onnxruntime.load(folder / ORT_NAME)
    failures = compare_goldens(goldens, tokenizer, None, session, manifest.longest)
    if failures:
        raise CheckFailed(f"{ORT_NAME} is not the bundle's model: {failures[0]}; run `edgepack gate` on the bundle")
    sizes = {"ort_bytes": (folder / ORT_NAME).stat().st_size, "model_bytes": model.stat().st_size}
    device = load_target(manifest.target).device
    flags = ONNX_FLAGS[device].format(min_sdk=oldest_android(), ios=ios_target())
    page = ONNX_PAGE.format(
        config=CONFIG_NAME,
        ort=ORT_NAME,
        count=len(operators),
        device=device,
        version=version,
        flags=flags,
        model=model.name,
        grown=format_size(max(0, sizes["ort_bytes"] - sizes["model_bytes"])),
        goldens=len(goldens),
        **sizes,
    )
    return version, operators, page


def oldest_android() -> str:
    """The API level of the oldest Android that the sample app runs on."""
    return str(tomllib.loads(read_template("android/gradle/libs.versions.toml"))["versions"]["minSdk"])


def write_config(models: list[Path], path: Path, made_from: str) -> tuple[str, ...]:
    """The operators and types of files in ONNX Runtime's format, as its build takes them; their names, sorted."""
    with root_logging_kept():
        from onnxruntime.tools.ort_format_model import create_config_from_models

        logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
        create_config_from_models(models, path, enable_type_reduction=True)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    comment = f"# Model sha256 and ONNX Runtime's version: {made_from}"  # in place of the paths of this machine
    write_atomic(path, "\n".join([comment, *lines, ""]).encode())
    return config_operators(path)


def config_operators(path: Path) -> tuple[str, ...]:
    """The operators of a configuration, with their domain where it is not ONNX's own, sorted."""
    with root_logging_kept():
        from onnxruntime.tools.reduced_build_config_parser import parse_config

        required, _ = parse_config(str(path), enable_type_reduction=True)
    names = {(domain, name) for domain, opsets in required.items() for found in opsets.values() for name in found}
    return tuple(sorted(name if domain == "ai.onnx" else f"{domain}.{name}" for domain, name in names))


@contextmanager
def root_logging_kept() -> Iterator[None]:
    """ONNX Runtime's tools give the root logger a handler when they are imported."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    try:
        yield
    finally:
        root.handlers[:] = handlers


def write_executorch(bundle: Path, manifest: BundleManifest, folder: Path) -> Written:
    """`selected_operators.yaml`."""
    model = bundle / model_path(manifest)
    operators, version = write_operator_list(model, folder / YAML_NAME), version_of("executorch")
    page = EXECUTORCH_PAGE.format(
        yaml=YAML_NAME, count=len(operators), device=manifest.target, version=version, model=model.name
    )
    return version, operators, page


def write_operator_list(model: Path, path: Path) -> tuple[str, ...]:
    """The operators that an ExecuTorch program calls itself, as its selective build takes them; their names, sorted."""
    try:
        import yaml
        from executorch.codegen.tools.gen_oplist import gen_oplist
    except ImportError as e:
        raise MissingDependency('ExecuTorch is not installed; run: pip install "edgepack[executorch]"') from e
    with redirect_stdout(StringIO()):
        gen_oplist(path, model_file_path=str(model))
    text = path.read_text(encoding="utf-8").replace(str(model), model.name)  # without the paths of this machine
    write_atomic(path, text.encode())
    return tuple(sorted(yaml.safe_load(text)["operators"]))


WRITERS: dict[str, Callable[[Path, BundleManifest, Path], Written]] = {
    "onnxruntime": write_onnx,
    "onnxruntime-web": write_onnx,
    "executorch": write_executorch,
}
