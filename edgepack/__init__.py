"""edgepack: NLP transformers on phones and other edge devices, at a size an app can accept, with proof.

    import edgepack

    edgepack.plan_student(model="teacher", data="train.tsv", eval="dev.tsv", budget="4MB", target="android-onnx")
    bundle = edgepack.Bundle.load("out/bundles/android-onnx")

These names are the commands of the same kind, with the options as keywords; docs/python.md has all of them. Importing
edgepack is quick: what a name needs is imported when it is first used. It also makes student folders load in
transformers' Auto classes and pipelines.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgepack._version import __version__
from edgepack.student.registration import watch

__all__ = [  # noqa: RUF022
    # make a model; needs "edgepack[build]"
    "plan_student",
    "build_bundles",
    # check it
    "gate_bundles",
    "compare_bundles",
    # ship it
    "package_app",
    # let it answer
    "Bundle",
    "predict_data",
    # what a mistake raises
    "EdgepackError",
    "InputError",
    "CheckFailed",
    "MissingDependency",
    "__version__",
]

_ROOMS = {
    "plan_student": "edgepack.build.calls",
    "build_bundles": "edgepack.build.calls",
    "gate_bundles": "edgepack.evidence.calls",
    "compare_bundles": "edgepack.evidence.calls",
    "package_app": "edgepack.package",
    **dict.fromkeys(("Bundle", "predict_data"), "edgepack.predict"),
    **dict.fromkeys(("EdgepackError", "InputError", "CheckFailed", "MissingDependency"), "edgepack.errors"),
}


if TYPE_CHECKING:  # the same names; a `__getattr__` that they see would let every other name pass
    from edgepack.build.calls import build_bundles, plan_student
    from edgepack.errors import CheckFailed, EdgepackError, InputError, MissingDependency
    from edgepack.evidence.calls import compare_bundles, gate_bundles
    from edgepack.package import package_app
    from edgepack.predict import Bundle, predict_data
else:

    def __getattr__(name: str) -> Any:
        """A public name, imported from its room when it is first asked for (PEP 562)."""
        if name not in _ROOMS:
            raise AttributeError(f"module 'edgepack' has no attribute {name!r}")
        try:
            room = import_module(_ROOMS[name])
        except ModuleNotFoundError as e:
            from edgepack.machine.extras import missing_package

            raise missing_package(e, f"edgepack.{name}") or e from e
        globals()[name] = getattr(room, name)
        return globals()[name]


def __dir__() -> list[str]:
    """What is there and what will be."""
    return sorted({*globals(), *__all__})


watch()
