"""The model file is what the manifest and the target say: read from the file itself, not run (`runtime/face.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.bundle.manifest import BundleManifest, TensorRecord, task_of
from edgepack.bundle.verdict import Check, faults_check
from edgepack.errors import bare
from edgepack.evidence.opened import OpenBundle
from edgepack.runtime.face import Face, TensorFace
from edgepack.target import Target
from edgepack.task.encoded import MODEL_INPUTS


def artifact_check(bundle: OpenBundle) -> Check:
    """Inputs, outputs, operators and versions of the file compared with the manifest; weights that are no numbers."""
    manifest, target, face = bundle.manifest, bundle.target, bundle.face
    problems = [*face.faults, *version_faults(face, manifest, target), *operator_faults(face, manifest, target)]
    problems += tensor_faults("input", face.inputs, manifest.inputs)
    if face.outputs is not None:
        problems += tensor_faults("output", face.outputs, manifest.outputs)
    problems += contract_faults(manifest, target)
    return faults_check("artifact", problems, f"{target.file} is what the manifest says")


def tensor_faults(kind: str, found: Sequence[TensorFace], recorded: Sequence[TensorRecord]) -> list[str]:
    """Names in order, types and shapes; what a format does not declare is not compared."""
    names, known = [tensor.name for tensor in found], [tensor.name for tensor in recorded]
    if names != known:
        return [f"the file's {kind}s are {listed(names)}, the manifest's {listed(known)}"]
    faults = []
    for tensor, record in zip(found, recorded, strict=True):
        what = f"{kind} {bare(record.name)}"
        if tensor.dtype is not None and tensor.dtype != record.dtype:
            faults.append(f"{what} is {tensor.dtype}, the manifest says {bare(record.dtype)}")
        if tensor.dtype is not None and tensor.shape != tuple(record.shape):
            faults.append(f"{what} has shape {listed(tensor.shape)}, the manifest says {listed(record.shape)}")
    return faults


def contract_faults(manifest: BundleManifest, target: Target) -> list[str]:
    """What an app relies on, whatever file there is: ids with a mask, of the target's type, and logits by label."""
    known = list(MODEL_INPUTS)
    names = [tensor.name for tensor in manifest.inputs]
    faults = [] if names in (known[:2], known) else [f"inputs are {listed(names)}; allowed: {listed(known)}"]
    faults += [
        f"input {bare(tensor.name)} is {bare(tensor.dtype)}; {target.name} takes {target.integers}"
        for tensor in manifest.inputs
        if tensor.dtype != target.integers
    ]
    shapes = [tensor.shape for tensor in manifest.inputs]
    batch: int | str = target.fixed_batch or "batch"
    allowed = static_shape(manifest) if target.static_shape else [batch, "seq"]
    faults += [f"inputs have shape {listed(shape)}; {listed(allowed)} is right" for shape in shapes if shape != allowed]
    task = task_of(manifest)
    expected = [*allowed, task.outputs] if task.is_tagging else [allowed[0], task.outputs]
    outputs = [(tensor.name, tensor.dtype, tensor.shape) for tensor in manifest.outputs]
    if outputs != [(task.output_name, "float32", expected)]:
        faults.append(f"outputs are not float32 {task.output_name} of shape {listed(expected)} alone")
    return faults


def static_shape(manifest: BundleManifest) -> list[int | str]:
    """Of a file that the app pads to: one text of at least as many tokens as the longest has."""
    sizes = [tensor.shape[1] for tensor in manifest.inputs if len(tensor.shape) == 2]
    longest = max((size for size in sizes if isinstance(size, int)), default=0)
    return [1, max(longest, manifest.max_length)]


def operator_faults(face: Face, manifest: BundleManifest, target: Target) -> list[str]:
    """The file's operators are the manifest's, and the target's runtime has them."""
    recorded = set(manifest.runtime.operators)
    found = recorded if face.operators is None else set(face.operators)
    faults = [f"operator {bare(name)} is not in the manifest" for name in sorted(found - recorded)]
    faults += [f"operator {bare(name)} is not in the file" for name in sorted(recorded - found)]
    foreign = sorted(found - set(target.operators))
    return faults + [f"operator {bare(name)} is none of {target.name}'s" for name in foreign]


def version_faults(face: Face, manifest: BundleManifest, target: Target) -> list[str]:
    """The runtime is the target's, and the file asks for no newer versions than the manifest and the target say."""
    runtime, faults = manifest.runtime, []
    for what, said, right in (
        ("runtime", runtime.name, target.runtime),
        ("the runtime's oldest version", runtime.min_version, target.runtime_min_version),
    ):
        if said != right:
            faults.append(f"{what} is {bare(said)}, {target.name} has {right}")
    for what, found, most, newest in (
        ("opset", face.opset, runtime.opset, target.opset),
        ("IR version", face.ir_version, runtime.ir_version, target.ir_version),
    ):
        if (most is None) != (newest is None) or (most is not None and newest is not None and most > newest):
            faults.append(f"the manifest says {what} {most}; {target.name} allows up to {newest}")
        if found is not None and most is not None and not 0 < found <= most:
            faults.append(f"the file needs {what} {found}, the manifest says {most}")
    return faults


def listed(values: Sequence[object] | None) -> str:
    """`a, b`, or that there is none."""
    return "(" + ", ".join(bare(str(value)) for value in values) + ")" if values is not None else "of no declared size"
