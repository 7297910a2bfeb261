"""Shipped bytes of a shape on a target, exactly, without any weights: model file plus tokenizer asset."""

from __future__ import annotations

from collections.abc import Callable

from edgepack.plan import size_coreai, size_coreml, size_executorch, size_litert, size_onnx, size_torchscript
from edgepack.plan.model_size import ModelSize
from edgepack.student.config import StudentConfig
from edgepack.target import Target

SIZE_MODELS: dict[str, Callable[[StudentConfig, Target], ModelSize]] = {
    "onnx": size_onnx.model_bytes,
    "torchscript": size_torchscript.model_bytes,
    "executorch": size_executorch.model_bytes,
    "litert": size_litert.model_bytes,
    "coreml": size_coreml.model_bytes,
    "coreai": size_coreai.model_bytes,
}


def model_size(config: StudentConfig, target: Target) -> ModelSize:
    """Bytes of the model file that the target's exporter will write, by tensor and in all."""
    return SIZE_MODELS[target.format](config, target)
