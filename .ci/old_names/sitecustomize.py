"""With this folder on PYTHONPATH the shared cases, written for an older layout of edgepack, find what they import.

Python imports `sitecustomize` at its start. Nothing of edgepack is imported before a case asks for it. The cases are
forked from a process that has imported `edgepack.build`, which once held everything: importing it still brings all
that commands import, or each case would import torch's and transformers' halves again, for eight seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import pkgutil
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "edgepack.gate": "edgepack.evidence.gate",
    "edgepack.data": "edgepack.task.examples",
    "edgepack.inputs": "edgepack.build.inputs",
    "edgepack.recipe": "edgepack.build.recipe",
    "edgepack.tokenizer_asset": "edgepack.tokenizer.asset",
}


class Alias(importlib.abc.Loader):
    """Gives the module that a moved one is now."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return importlib.import_module(MOVED[spec.name])

    def exec_module(self, module: ModuleType) -> None:
        pass


def with_old_function(loader: Any) -> Any:
    """The loader, which adds the function that the package once had after it has loaded it."""
    load = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        load(module)
        name = module.__name__.rpartition(".")[2]
        setattr(module, name, {"build": old_build, "finetune": old_finetune(module)}[name])
        if name == "build":
            import_all()

    loader.exec_module = exec_module
    return loader


def import_all() -> None:
    """Import each module of edgepack whose packages are here."""
    package = importlib.import_module("edgepack")
    for module in pkgutil.walk_packages(package.__path__, "edgepack."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name in MOVED:
            return ModuleSpec(name, Alias())
        if name in ("edgepack.build", "edgepack.finetune"):
            sys.meta_path.remove(self)
            try:
                spec = importlib.util.find_spec(name)
            finally:
                sys.meta_path.insert(0, self)
            if spec is not None:
                spec.loader = with_old_function(spec.loader)
            return spec
        return None


def old_build(*arguments: Any, **named: Any) -> Any:
    from edgepack.build.flow import build

    return build(*arguments, **named)


def old_finetune(module: Any) -> Any:
    new, options_class = getattr(module, "finetune", None), getattr(module, "Options", None)

    def finetune(*places: Any, columns: Any, console: Any, options: Any = None, **old: Any) -> Any:
        return new(*places, columns=columns, options=options or options_class(**old), console=console)

    return finetune


sys.meta_path.insert(0, Finder())
