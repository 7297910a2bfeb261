"""ONNX artifacts on another CPU than this machine's, by QEMU's user-mode emulation.

Only results are of use here: an emulator's times say nothing, and none are taken.

- `x86_without_vnni`: this machine's own Python under `qemu-x86_64 -cpu Haswell`, whose int8 kernels saturate.
- `arm64`: Python 3.11 and ONNX Runtime of ARM64 in a folder under `~/.cache/edgepack/arm64`, under `qemu-aarch64`. The
  folder is Debian's packages, extracted, and PyPI's wheels. ONNX Runtime reads the CPU's features from files that an
  emulator does not make up, so the folder holds a Cortex-A76's. `python -m edgepack.evidence.emulation` prepares
  it, once; it downloads about 40 MB and changes nothing else on the machine.
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
from edgepack.task.encoded import Encoded
from edgepack.task.long_texts import split

RUNNER = Path(__file__).parents[1] / "runtime" / "onnx_file.py"
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
WHEELS = ("numpy==2.4.1", "onnxruntime==1.24.1")
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
    """A Python on another CPU: the command that starts it, and what it adds to this one's environment."""

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def predict(self, model: Path, encoded: Encoded) -> tuple[np.ndarray, str]:
        """Flat fp32 logits over all examples, in the layout of `Encoded.labels`, and ONNX Runtime's version there."""
        texts = split(encoded)
        encoded = texts.pieces
        with TemporaryDirectory() as folder:
            source, destination = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
            np.savez(
                source,
                offsets=encoded.offsets,
                input_ids=encoded.input_ids,
                token_type_ids=encoded.token_type_ids,
                attention_mask=np.ones_like(encoded.input_ids),
            )
            run([*self.command, str(RUNNER), str(model.resolve()), str(source), str(destination)], self.environment)
            with np.load(destination) as outputs:
                return texts.joined(outputs["logits"].astype(np.float32)), str(outputs["version"])


def this_python(executable: str = sys.executable) -> Machine:
    """A Python of this machine that has numpy and onnxruntime."""
    return Machine((executable,))


def x86_without_vnni() -> Machine:
    """This Python on a CPU with AVX2 and no VNNI."""
    return Machine((find_qemu(X86_QEMU), "-cpu", "Haswell", sys.executable))


def arm64() -> Machine:
    """ARM64's Python on a Cortex-A76."""
    qemu, root = find_qemu(ARM64_QEMU), ROOT.expanduser()
    if not (root / READY).is_file():
        raise MissingDependency(f"{ROOT} holds no ARM64 Python and ONNX Runtime; run: {PREPARE}")
    environment = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(root / "wheels"), "PYTHONNOUSERSITE": "1"}
    return Machine((qemu, "-cpu", "cortex-a76", "-L", str(root), str(root / "usr/bin/python3.11")), environment)


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
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(CPU_INFO)
    cpus = root / "sys/devices/system/cpu"
    cpus.mkdir(parents=True)
    for name in ("possible", "present", "online", "kernel_max"):
        (cpus / name).write_text("0\n")
    for folder in (debs, root / "apt"):
        shutil.rmtree(folder)
    (root / READY).touch()


if __name__ == "__main__":
    prepare_arm64(ROOT.expanduser())
    print(f"{ROOT} is ready: edgepack validate OUT --arch arm64")
