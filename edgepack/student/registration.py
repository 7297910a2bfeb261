"""A student folder loads in transformers' own Auto classes and pipelines once edgepack is imported.

`import edgepack` stays light: it imports nothing of transformers, it watches. When transformers' table of configs
(or of models) is imported, before or after edgepack, the student's config (or its models) is added to it. Python
has no call for "after this module": a finder in front of the others lets them find the module, and adds our step to
the end of its loading.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def register_config(table: ModuleType) -> None:
    """Tell `AutoConfig` of the student's config."""
    from edgepack.student.config import StudentConfig

    table.AutoConfig.register(StudentConfig.model_type, StudentConfig, exist_ok=True)


def register_models(table: ModuleType) -> None:
    """Tell the Auto class of each task of the student's model."""
    from edgepack.student import auto_models
    from edgepack.student.config import StudentConfig

    for auto, model in (
        (table.AutoModel, auto_models.StudentForFeatureExtraction),
        (table.AutoModelForSequenceClassification, auto_models.StudentForSequenceClassification),
        (table.AutoModelForTokenClassification, auto_models.StudentForTokenClassification),
    ):
        auto.register(StudentConfig, model, exist_ok=True)


STEPS: dict[str, Callable[[ModuleType], None]] = {
    "transformers.models.auto.configuration_auto": register_config,
    "transformers.models.auto.modeling_auto": register_models,
}


class Watch(MetaPathFinder):
    """Finds nothing itself; each module of `STEPS` that the others find gets its step."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in STEPS:
            return None
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = loading(spec.loader.exec_module)  # type: ignore[assignment]
        return spec


def loading(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    """Run the module's own code, then its step."""

    def load(module: ModuleType) -> None:
        execute(module)
        register(module)

    return load


def register(module: ModuleType) -> None:
    """Take a module's step; without torch no student can be loaded, and transformers stays as it is."""
    with suppress(ModuleNotFoundError):
        STEPS[module.__name__](module)


def watch() -> None:
    """Register with what is imported of transformers, and from now on with what will be."""
    sys.meta_path.insert(0, Watch())
    for name in STEPS:
        if name in sys.modules:
            register(sys.modules[name])
