"""What `import edgepack` offers: light, typed, the command line's options as keywords, described field by field."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import pytest
from pydantic import BaseModel

import edgepack
from edgepack.build.results import BuildResult, PlanReport
from edgepack.cli import main
from edgepack.evidence.compare import Comparison
from edgepack.evidence.outcome import GateResult
from edgepack.package import Packaged
from edgepack.predict import Answer, DataAnswers
from edgepack.predict.data_answers import Compared
from tests.pages import REPOSITORY

FACE = REPOSITORY / "edgepack" / "__init__.py"
PAGE = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
HEAVY = ("click", "datasets", "numpy", "onnxruntime", "pydantic", "rich", "tokenizers", "torch", "transformers")
COMMANDS: dict[
    str, tuple[str, set[str]]
] = {  # function → its command, and the options that say what it prints or are of another call
    "plan_student": ("plan", {"json", "tensors", "config", "print_config"}),
    "build_bundles": ("build", {"json", "dry_run", "config", "print_config"}),
    "gate_bundles": ("gate", {"json"}),
    "compare_bundles": ("compare", {"json"}),
    "package_app": ("package", {"json", "quiet"}),
    "predict_data": ("predict", {"json", "texts", "hypothesis", "multi_label", "rank"}),
}
RESULTS = (PlanReport, BuildResult, GateResult, Comparison, Packaged, Answer, DataAnswers, Compared)
LOGS = ("verbose", "log_file")
NEEDED = {"model": "teacher", "data": "train.tsv", "eval": "dev.tsv", "budget": "4MB", "target": "android-onnx"}
Call = Callable[..., Any]


def keywords(function: Call) -> set[str]:
    """All arguments of a function, those of `**options` too."""
    found = set()
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= set(get_args(get_type_hints(inspect.unwrap(function))[name])[0].__annotations__)
        else:
            found.add(name)
    return found


def section(heading: str) -> str:
    """The page below a heading, down to the next one of its level or above."""
    found = re.search(rf"^(##+) {re.escape(heading)}\n(.*?)(?=^##? |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/python.md has no heading {heading!r}"
    return found[2]


def documented(text: str) -> set[str]:
    """The names in the first cells of tables."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_importing_it_is_light() -> None:
    code = f"import sys, edgepack\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_each_name_is_there_when_it_is_asked_for() -> None:
    assert set(edgepack.__all__) <= set(dir(edgepack))
    assert all(getattr(edgepack, name) is not None for name in edgepack.__all__)
    assert len(set(edgepack.__all__)) == len(edgepack.__all__)
    with pytest.raises(AttributeError, match="no attribute 'plan_studnet'"):
        edgepack.plan_studnet  # noqa: B018


def test_type_checkers_see_what_is_imported() -> None:
    """The imports under `TYPE_CHECKING` are those of `__getattr__`."""
    block = next(node for node in ast.parse(FACE.read_text(encoding="utf-8")).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name: node.module for node in imports for alias in node.names} == edgepack._ROOMS
    assert set(edgepack._ROOMS) == set(edgepack.__all__) - {"__version__"}
    assert (FACE.parent / "py.typed").is_file()


@pytest.mark.parametrize("name", COMMANDS)
def test_keywords_are_the_commands_options(name: str) -> None:
    command, printing = COMMANDS[name]
    given = set()
    for parameter in main.commands[command].params:
        if isinstance(parameter, click.Option) and (parameter.hidden or parameter.name in LOGS):
            continue  # an old name, or what Python's `logging` is for
        long = [option for option in parameter.opts if option.startswith("--")]
        given.add(long[0].removeprefix("--").replace("-", "_") if long else str(parameter.name))
        assert isinstance(parameter, click.Argument) or long
    assert keywords(getattr(edgepack, name)) == given - printing


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_has_every_keyword_and_an_example(name: str) -> None:
    text = section(name)
    inherited = section("plan_student") if name == "build_bundles" else ""
    assert keywords(getattr(edgepack, name)) <= documented(text + inherited)
    assert f"edgepack.{name}(" in text


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_the_page_has_every_field_of_a_result(kind: Any) -> None:
    fields = set(kind.model_fields) if issubclass(kind, BaseModel) else {f.name for f in dataclasses.fields(kind)}
    fields |= {name for name, value in vars(kind).items() if isinstance(value, property)}
    fields -= {"show_tensors", *vars(BaseModel)}
    table = PAGE.split(f"field of `{kind.__name__}`")[1].split("\n\n")[0]
    assert fields <= documented(table)


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_results_are_frozen(kind: Any) -> None:
    frozen = kind.model_config.get("frozen") if issubclass(kind, BaseModel) else kind.__dataclass_params__.frozen
    assert frozen
    assert kind is Compared or callable(kind.to_record)


@pytest.mark.parametrize(
    ("call", "given", "said"),
    [
        ("plan_student", {"sed": 1}, r"plan_student has no option 'sed'; allowed: .*; did you mean 'seed'\?"),
        ("plan_student", {"evall": 1}, r"plan_student has no option 'evall'; allowed: .*; did you mean 'eval'\?"),
        ("plan_student", {"search": 3}, "plan_student has no option 'search'; allowed: model, data, "),
        ("plan_student", {"recipe": ""}, "recipe is ''; allowed: a .toml file, or one of quick"),
        ("plan_student", {"seed": "1"}, "plan_student: seed is '1'; it must be a valid integer"),
        ("plan_student", {"effort": "long"}, "effort is 'long'; it must be 'quick', 'standard' or 'max'"),
        ("plan_student", {"max_length": 4}, "max_length is 4; it must be greater than or equal to 8"),
        ("plan_student", {"max_drop": 2}, "max_drop: '2' is 200%; write a share below"),
        ("plan_student", {"max_drop": "2 %%"}, "max_drop: '2 %%' is not a share; write 2% or 0.02"),
        ("plan_student", {"budget": "4"}, r"budget: '4' is 4 bytes, less than any model has; did you mean 4MB\?"),
        ("plan_student", {"budget": None}, "budget: 'None' is not a size"),
        ("plan_student", {"target": "andriod-onnx"}, r"did you mean 'android-onnx'\?"),
        ("plan_student", {"disk_budget": 0}, r"disk_budget: '0' is 0 bytes, too few for any teacher's outputs.* 2GB\?"),
        ("plan_student", {"target": []}, "no target given; name one of those that `edgepack targets` lists"),
        ("plan_student", {"model": 3}, "model is 3; give a path"),
        ("plan_student", {"data": ""}, "data is ''; give a path"),
        ("plan_student", {"labels": ["a"]}, r"labels is \['a'\]; 2 names or more are needed, each once"),
        ("plan_student", {"labels": "a"}, "1 different names; 2 or more are needed"),
        ("plan_student", {"effort": "quick", "recipe": "tinybert"}, "^effort and recipe are both given"),
        ("plan_student", {"recipe": "tinybret"}, r"did you mean 'tinybert'\?"),
        ("plan_student", {"data": "nowhere.tsv"}, "nowhere.tsv: no such file"),
        ("build_bundles", {"output": None}, "output is None; give a path"),
        ("gate_bundles", {"bundles": []}, "no bundle given"),
        ("gate_bundles", {"bundles": "nowhere"}, "nowhere"),
        ("gate_bundles", {"bundles": ".", "policy": "nowhere.toml"}, "nowhere.toml"),
        ("gate_bundles", {"bundles": ".", "junti": "x"}, r"has no option 'junti'; allowed: .*; did you mean 'junit'"),
        ("gate_bundles", {"bundles": ".", "polcy": "x"}, r"has no option 'polcy'; .*; did you mean 'policy'\?"),
        ("compare_bundles", {"old": "nowhere", "new": "nowhere"}, "nowhere"),
        ("package_app", {"bundle": "nowhere", "app": "web", "output": "app"}, "nowhere"),
        ("package_app", {"bundle": ".", "app": "palm", "output": "app"}, "app is 'palm'; allowed: android, ios, web"),
        ("package_app", {"bundle": ".", "app": "web", "output": "app", "name": 3}, "name is 3; give a string"),
        ("predict_data", {"bundle": "nowhere", "data": "dev.tsv"}, "nowhere"),
        ("predict_data", {"bundle": ".", "data": "dev.tsv", "threads": "2"}, "threads is '2'; allowed: whole numbers"),
        ("predict_data", {"bundle": None, "data": "dev.tsv"}, "folder is None; give a path"),
    ],
)
def test_a_mistake_is_one_line(
    call: str, given: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    needed = {**NEEDED, "output": "out"} if call == "build_bundles" else NEEDED if call == "plan_student" else {}
    with pytest.raises(edgepack.InputError, match=said) as raised:
        getattr(edgepack, call)(**{**needed, **given})
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
