"""A request in a file: the same as on the command line, refused whole where a key or value is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgepack.build import flow
from edgepack.build.input_records import request_record
from edgepack.build.inputs import BuildRequest
from edgepack.cli import main
from edgepack.cli.building import build, plan
from edgepack.cli.request_file import NOT_ASKED, options_by_key
from tests.evidence.test_speed_profile import PROFILE

WHOLE = """
model = "teacher"
data = "data/train.tsv"
eval = "data/dev.tsv"
budget = "2MiB"
target = ["android-onnx", "ios-onnx"]
task = "text-classification"
tag-scheme = "plain"
pooling = "mean"
text-column = "words"
pair-column = "second"
label-column = "kind"
labels = "no,yes"
out-of-scope = "oos"
max-drop = 0.03
answer-rate = 0.9
effort = "quick"
max-latency = "2ms@32"
speed-profile = "machine.json"
objective = "bytes"
search = 8
jobs = 2
seed = 4
device = "cpu"
raw-text = "raw.txt"
max-length = 32
long-texts = "windows"
student-tokenizer = "google/other"
disk-budget = "2GB"
allow-untrained = true
output = "out"
"""
TYPED = """build -m project/teacher -d project/data/train.tsv --eval project/data/dev.tsv -b 2MiB -t android-onnx
 -t ios-onnx --task text-classification --tag-scheme plain --pooling mean
 --text-column words --pair-column second --label-column kind --labels no,yes
 --out-of-scope oos --answer-rate 90% --max-drop 3% --effort quick --seed 4
 --max-latency 2ms@32 --speed-profile project/machine.json --objective bytes --search 8 --jobs 2
 --device cpu --raw-text project/raw.txt --max-length 32 --long-texts windows --student-tokenizer google/other
 --disk-budget 2GB --allow-untrained -o project/out"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the file names, seen from the folder above."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "teacher").mkdir()
    for name in ("data/train.tsv", "data/dev.tsv", "raw.txt"):
        (folder / name).write_text("x\n")
    (folder / "machine.json").write_text(json.dumps(PROFILE))
    (folder / "build.toml").write_text(WHOLE)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[BuildRequest]:
    """The requests that commands make, which are not built."""
    seen: list[BuildRequest] = []

    class Done:
        exit_code = 0

        def table(self) -> str:
            return "done"

        def to_record(self) -> dict[str, str]:
            return {"done": "yes"}

    def record(request: BuildRequest, *_: Any) -> Done:
        seen.append(request)
        return Done()

    monkeypatch.setattr(flow, "build", record)
    monkeypatch.setattr(flow, "plan_build", record)
    return seen


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_a_file_asks_for_the_same_as_flags(project: Path, asked: list[BuildRequest]) -> None:
    for words in (["build", "--config", "project/build.toml"], TYPED.split()):
        result = call(*words)
        assert result.exit_code == 0, result.output
    assert asked[0] == asked[1]
    record = request_record(asked[0])
    assert record["max_drop"] == 0.03
    assert record["max_latency"] == {"ms": 2.0, "tokens": 32}
    assert record["speed_profile"]["device"] == PROFILE["device"], "what was measured, wherever the file goes"


def test_every_option_of_a_request_is_in_the_file_that_is_tried_here() -> None:
    recipe = {"recipe"}  # instead of effort
    assert {*options_by_key(build), *options_by_key(plan)} - recipe == set(tomllib.loads(WHOLE))
    assert {str(p.name) for p in build.params} & NOT_ASKED >= {"config", "fresh", "as_json"}


def test_plan_takes_the_file_of_a_build(project: Path, asked: list[BuildRequest]) -> None:
    assert call("plan", "--config", "project/build.toml").exit_code == 0
    assert asked[0].targets == ("android-onnx", "ios-onnx")


def test_a_flag_has_precedence_and_that_is_said(project: Path, asked: list[BuildRequest]) -> None:
    result = call("build", "--config", "project/build.toml", "-b", "1MB", "-t", "linux-onnx", "--recipe", "tinybert")
    assert (asked[0].budget_bytes, asked[0].targets, asked[0].effort) == (1_000_000, ("linux-onnx",), "tinybert")
    assert asked[0].seed == 4
    for line in ('budget = "2MiB" there; --budget', 'target = ["android-onnx", "ios-onnx"] there; --target'):
        assert f"project/build.toml: {line} on the command line is used" in result.stderr
    assert 'effort = "quick" there; --recipe on' in result.stderr
    quiet = call("build", "--config", "project/build.toml", "-b", "1MB", "--quiet")
    assert quiet.stderr == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("budgte = 3", "budgte is unknown; allowed: model, data, eval, budget, target"),
        ("budgte = 3", "did you mean 'budget'?"),
        ("max_drop = 0.1", "did you mean 'max-drop'?"),
        ("quiet = true", "quiet is unknown (it is given on the command line alone); allowed: model"),
        ("budget = true", 'budget is True; it must be a text or a number, as "4MB"'),
        ("budget = 4", "budget is 4; '4' is 4 bytes, less than any model has; did you mean 4MB?"),
        ('target = "ios-onnx"', "target is 'ios-onnx'; it must be a valid array"),
        ("target = []", "target is empty; give one or more"),
        ('target = ["andriod-onnx"]', "did you mean 'android-onnx'?"),
        ("target = [1]", "target[0] is 1; it must be a valid string"),
        ("seed = -1", "seed is -1; -1 is not in the range 0<=x<="),
        ('seed = "1"', "seed is '1'; it must be a valid integer"),
        ("seed = true", "seed is True; it must be a valid integer"),
        ("max-drop = 2", "max-drop is 2; '2' is 200%; write a share below"),
        ("allow-untrained = 1", "allow-untrained is 1; it must be a valid boolean"),
        ('effort = "quik"', "effort is 'quik'; 'quik' is not one of 'quick', 'standard', 'max'"),
        ('recipe = "tinybert"', "effort and recipe are both there; allowed: one of them"),
        ("model = [", "does not read"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_key(line: str, said: str, project: Path) -> None:
    key = line.split()[0]
    kept = [text for text in WHOLE.splitlines() if not text.startswith(f"{key} =")]
    (project / "build.toml").write_text("\n".join([*kept, line]))
    result = call("plan", "--config", "project/build.toml")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: project/build.toml")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_path_that_is_only_here_is_not_taken_for_one_of_the_file(project: Path) -> None:
    (project.parent / "here.tsv").write_text("x\n")
    (project / "build.toml").write_text(WHOLE.replace("data/train.tsv", "here.tsv"))
    result = call("plan", "--config", "project/build.toml")
    assert "data is 'here.tsv', which is not in project; paths are relative to the file" in result.stderr


def test_a_hub_id_stays_one(project: Path, asked: list[BuildRequest]) -> None:
    (project / "build.toml").write_text(WHOLE.replace('"teacher"', '"owner/name"'))
    assert call("plan", "--config", "project/build.toml").exit_code == 0
    assert asked[0].teacher == "owner/name"


def test_a_recipe_file_is_relative_to_the_request(project: Path, asked: list[BuildRequest]) -> None:
    (project / "mine.toml").write_text('base = "quick"\nbatch_size = 8\n')
    (project / "build.toml").write_text(WHOLE.replace('effort = "quick"', 'recipe = "mine.toml"'))
    assert call("plan", "--config", "project/build.toml").exit_code == 0
    assert asked[0].chosen_recipe.batch_size == 8


def test_a_printed_file_asks_for_what_it_was_printed_from(project: Path, asked: list[BuildRequest]) -> None:
    printed = call(*TYPED.split(), "--print-config")
    assert printed.exit_code == 0, printed.output
    assert asked == []
    (project.parent / "printed.toml").write_text(printed.stdout)
    for words in (["build", "--config", "printed.toml"], TYPED.split()):
        assert call(*words).exit_code == 0
    assert asked[0] == asked[1]


def test_what_is_printed_has_every_option_with_its_help() -> None:
    text = call("build", "--print-config").stdout
    assert tomllib.loads(text) == {}
    for key, option in options_by_key(build).items():
        assert f"\n# {key} = " in text
        assert (option.help or "").split()[0] in text


def test_a_request_is_refused_before_anything_is_loaded(project: Path) -> None:
    (project / "build.toml").write_text("budgte = 3")
    code = (
        "import sys\nfrom edgepack.cli import main\n"
        "try: main(['plan', '--config', 'project/build.toml'])\n"
        "except SystemExit as e: print(e.code, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "2 False False", done.stderr


def test_the_old_name_of_raw_text_works_and_warns(project: Path, asked: list[BuildRequest]) -> None:
    words = TYPED.replace("--raw-text", "--text").split()
    result = call(*words, "--json")
    assert json.loads(result.stdout) == {"done": "yes"}
    assert "warning: --text is called --raw-text now" in result.stderr
    assert asked[0].raw_text == Path("project/raw.txt")
    both = call(*TYPED.split(), "--text", "project/raw.txt")
    assert both.exit_code == 2
    assert "--text and --raw-text are the same option" in both.stderr
    assert "--text " not in call("build", "--help").stdout.replace("--raw-text ", "")
