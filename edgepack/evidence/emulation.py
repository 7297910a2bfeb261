"""ONNX, LiteRT and ExecuTorch artifacts on another CPU than this machine's, by QEMU's user-mode emulation.

Only results are of use here: an emulator's times say nothing, and none are taken.

- `x86_without_vnni`: this machine's own Python under `qemu-x86_64 -cpu Haswell`, whose int8 kernels saturate.
- `arm64`: Python 3.11 and the runtimes of ARM64 in a folder under `~/.cache/edgepack/arm64`, under `qemu-aarch64`. The
  folder is Debian's packages, extracted, and PyPI's wheels. Runtimes read the CPU's features from files that an
  emulator does not make up, so the folder holds a Cortex-A76's. `python -m edgepack.evidence.emulation` prepares
  it, once; it downloads about 70 MB and changes nothing else on the machine.

ExecuTorch's Python needs torch, whose wheel for ARM64 takes 427 MB and needs CUDA's libraries too. The libraries in
ExecuTorch's own wheel do not, so a small program is compiled against them (`runtime/executorch_file.cpp`), which takes
a compiler for ARM64.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgepack.errors import CheckFailed, MissingDependency
from edgepack.task.encoded import MODEL_INPUTS, Encoded
from edgepack.task.long_texts import split

RUNTIME = Path(__file__).parents[1] / "runtime"
RUNNERS = {"onnx": RUNTIME / "onnx_file.py", "litert": RUNTIME / "litert_file.py"}  # by a target's format
PROGRAM, PROGRAM_SOURCE = "executorch_file", RUNTIME / "executorch_file.cpp"
ROOT = Path("~/.cache/edgepack/arm64")
TIMEOUT_S = 3600
ARM64_QEMU, X86_QEMU = ("qemu-aarch64-static", "qemu-aarch64"), ("qemu-x86_64-static", "qemu-x86_64")
INSTALL_QEMU = "apt-get install qemu-user-static"
READY = ".ready"
PREPARE = "python -m edgepack.evidence.emulation"
DEBIAN_PACKAGES = (
    "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5", "libssl3",
    "libuuid1", "libsqlite3-0", "libreadline8", "libtinfo6", "libncursesw6", "libcrypt1", "libtirpc3", "libnsl2",
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib",
)  # fmt: skip
WHEELS = ("numpy==2.4.1", "onnxruntime==1.24.1", "ai-edge-litert==2.3.0", "executorch==1.5.1")
EXECUTORCH_LIBRARIES = (
    "executorch", "executorch_kernels_optimized", "executorch_kernels_quantized", "executorch_backend_xnnpack",
    "executorch_threadpool",
)  # fmt: skip
COMPILER, INSTALL_COMPILER = "aarch64-linux-gnu-g++", "apt-get install g++-aarch64-linux-gnu"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
CPU_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
CPU_INFO = f"""processor\t: 0
BogoMIPS\t: 200.00
Features\t: {CPU_FEATURES}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1
"""


@dataclass(frozen=True)
class Machine:
    """Another CPU: the command that starts its Python, what it adds to this one's environment, and the command that
    starts ExecuTorch's program, empty where there is none.
    """

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ()

    def need(self, format: str) -> None:
        """Raise `MissingDependency` where files of this format cannot be run."""
        if format == "executorch" and not self.program:
            raise MissingDependency(
                f"ExecuTorch on ARM64 needs a program compiled; run: {INSTALL_COMPILER}, then {PREPARE}"
            )

    def predict(self, model: Path, encoded: Encoded, format: str = "onnx") -> tuple[np.ndarray, str]:
        """Flat fp32 logits over all examples, in the layout of `Encoded.labels`, and the runtime's version there."""
        self.need(format)
        texts = split(encoded)
        flat = {
            "input_ids": texts.pieces.input_ids,
            "attention_mask": np.ones_like(texts.pieces.input_ids),
            "token_type_ids": texts.pieces.token_type_ids,
        }
        answer = self._by_program if format == "executorch" else self._by_python
        with TemporaryDirectory() as folder:
            logits, version = answer(model.resolve(), texts.pieces.offsets, flat, Path(folder), format)
        return texts.joined(logits), version

    def _by_python(
        self, model: Path, offsets: np.ndarray, flat: dict[str, np.ndarray], folder: Path, format: str
    ) -> tuple[np.ndarray, str]:
        source, destination = folder / "inputs.npz", folder / "outputs.npz"
        np.savez(source, offsets=offsets, **flat)  # type: ignore[arg-type]  # mypy takes any keyword for allow_pickle
        run([*self.command, str(RUNNERS[format]), str(model), str(source), str(destination)], self.environment)
        with np.load(destination) as outputs:
            return outputs["logits"].astype(np.float32), str(outputs["version"])

    def _by_program(
        self, model: Path, offsets: np.ndarray, flat: dict[str, np.ndarray], folder: Path, format: str
    ) -> tuple[np.ndarray, str]:
        source, destination = folder / "inputs", folder / "outputs"
        numbers = [np.array([len(offsets) - 1]), offsets, *(flat[name] for name in MODEL_INPUTS)]
        source.write_bytes(np.concatenate(numbers).astype("<i8").tobytes())
        run([*self.program, str(model), str(source), str(destination)])
        data = destination.read_bytes()
        logits = np.frombuffer(data, "<f4", offset=8).reshape(-1, int.from_bytes(data[:8], "little"))
        return logits.astype(np.float32), pinned(format)


def this_python(executable: str = sys.executable) -> Machine:
    """A Python of this machine that has numpy and onnxruntime."""
    return Machine((executable,))


def x86_without_vnni() -> Machine:
    """This Python on a CPU with AVX2 and no VNNI."""
    return Machine((find_qemu(X86_QEMU), "-cpu", "Haswell", sys.executable))


def arm64() -> Machine:
    """ARM64's Python on a Cortex-A76."""
    qemu, root = find_qemu(ARM64_QEMU), ROOT.expanduser()
    if not is_ready(root):
        raise MissingDependency(f"{ROOT} does not hold {', '.join(WHEELS)} for ARM64; run: {PREPARE}")
    environment = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(root / "wheels"), "PYTHONNOUSERSITE": "1"}
    emulated = (qemu, "-cpu", "cortex-a76", "-L", str(root))
    program = (*emulated, str(root / PROGRAM)) if (root / PROGRAM).is_file() else ()
    return Machine((*emulated, str(root / "usr/bin/python3.11")), environment, program)


def is_ready(root: Path) -> bool:
    """Whether `root` was prepared, with the wheels that are wanted now."""
    ready = root / READY
    return ready.is_file() and ready.read_text(encoding="utf-8").split() == list(WHEELS)


def pinned(package: str) -> str:
    """The version of a package in the folder of ARM64's."""
    return next(wheel.split("==")[1] for wheel in WHEELS if wheel.startswith(f"{package}=="))


def find_qemu(names: Sequence[str]) -> str:
    """The emulator's program."""
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise MissingDependency(f"{names[0]} is not on the path; run: {INSTALL_QEMU}")
    return found


def run(command: Sequence[str], environment: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    """Run a command; `CheckFailed` with its last line if it fails."""
    try:
        subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=TIMEOUT_S, cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        )  # fmt: skip
    except subprocess.CalledProcessError as e:
        last = (e.stderr.strip().splitlines() or ["no message"])[-1]
        raise CheckFailed(f"{Path(command[0]).name} ended with code {e.returncode}: {last}") from e
    except subprocess.TimeoutExpired as e:
        raise CheckFailed(f"{Path(command[0]).name} took more than {TIMEOUT_S} s; ask for fewer examples") from e


def prepare_arm64(root: Path) -> None:
    """Fill `root`: Debian's packages by an apt of its own, wheels by pip, files that tell the CPU's features."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise MissingDependency(f"{program} is not on the path; prepare {root} on Debian or Ubuntu")
    shutil.rmtree(root, ignore_errors=True)
    debs = root / "debs"
    for name in ("lists/partial", "cache/archives/partial", "state"):
        (root / "apt" / name).mkdir(parents=True)
    (root / "apt/state/status").touch()
    debs.mkdir()
    options = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "Dir::State": str(root / "apt/state"),
        "Dir::State::status": str(root / "apt/state/status"), "Dir::State::lists": str(root / "apt/lists"),
        "Dir::Cache": str(root / "apt/cache"), "APT::Sandbox::User": "root",
    }  # fmt: skip
    apt = ["apt-get", *(f"-o{name}={value}" for name, value in options.items())]
    run([*apt, "update"])
    run([*apt, "download", *DEBIAN_PACKAGES], cwd=debs)
    for package in sorted(debs.glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), str(root)])
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    platforms = [f"--platform={name}" for name in PLATFORMS]
    run([*pip, "--python-version=3.11", "--target", str(root / "wheels"), *platforms, *WHEELS])
    if shutil.which(COMPILER):
        compile_program(root)
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(CPU_INFO)
    cpus = root / "sys/devices/system/cpu"
    cpus.mkdir(parents=True)
    for name in ("possible", "present", "online", "kernel_max"):
        (cpus / name).write_text("0\n")
    for folder in (debs, root / "apt"):
        shutil.rmtree(folder)
    (root / READY).write_text("\n".join(WHEELS), encoding="utf-8")


def compile_program(root: Path) -> None:
    """Compile the program that runs `.pte` files against the libraries in ExecuTorch's wheel under `root`."""
    package = root / "wheels" / "executorch"
    include, library = package / "include", package / "lib"
    portable = include / "executorch/runtime/core/portable_type/c10"
    run([
        COMPILER, "-std=c++20", "-O1", "-w", "-DC10_USING_CUSTOM_GENERATED_MACROS", f"-I{include}", f"-I{portable}",
        str(PROGRAM_SOURCE), "-o", str(root / PROGRAM), f"-L{library}", "-Wl,--no-as-needed",
        *(f"-l{name}" for name in EXECUTORCH_LIBRARIES), "-Wl,-rpath,$ORIGIN/wheels/executorch/lib",
    ])  # fmt: skip


if __name__ == "__main__":
    prepare_arm64(ROOT.expanduser())
    print(f"{ROOT} is ready: edgepack validate OUT --arch arm64")
    if not (ROOT.expanduser() / PROGRAM).is_file():
        print(f"but for ExecuTorch: {COMPILER} is not on the path; run: {INSTALL_COMPILER}, then {PREPARE}")
