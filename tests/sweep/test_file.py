"""sweep.toml: the builds of a file, and one line that names the key for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.errors import InputError
from edgepack.sweep.file import read_sweep
from tests.sweep.made import TEXT, write_sweep


def test_the_builds_are_the_product(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "quick"\nbatch_size = 16\n')
    text = TEXT.replace("seeds =", 'recipes = ["quick", "mine.toml"]\nseeds =')
    found = read_sweep(write_sweep(tmp_path, f'{text}\n[teachers.two]\nmodel = "hub/id"\ndata = "train.tsv"\n'))
    names = [job.name for job in found.jobs]
    assert len(names) == len(set(names)) == 16
    assert names[:4] == ["one-2MB-quick-seed0", "two-2MB-quick-seed0", "one-2MB-mine-seed0", "two-2MB-mine-seed0"]
    job = found.jobs[2]
    request = job.request(Path("out"))
    assert request.teacher == str(tmp_path / "teacher")  # builds run elsewhere
    assert (request.budget_bytes, request.seed, request.max_drop) == (2_000_000, 0, 0.03)
    assert request.chosen_recipe.batch_size == 16
    assert found.jobs[1].needed["model"] == "hub/id"
    assert found.jobs[0].from_json(found.jobs[0].to_json()) == found.jobs[0]


def test_names_alone_are_built_together_and_lists_apart(tmp_path: Path) -> None:
    both = TEXT.replace('["android-onnx"]', '["android-onnx", "ios-onnx"]')
    assert {job.targets for job in read_sweep(write_sweep(tmp_path, both)).jobs} == {("android-onnx", "ios-onnx")}
    apart = TEXT.replace('["android-onnx"]', '[["android-onnx", "ios-onnx"], ["web-onnx"]]')
    names = [job.name for job in read_sweep(write_sweep(tmp_path, apart)).jobs]
    assert names[:2] == ["one-2MB-standard-android-onnx+ios-onnx-seed0", "one-2MB-standard-web-onnx-seed0"]


def test_a_teachers_own_options_come_before_those_of_all(tmp_path: Path) -> None:
    found = read_sweep(write_sweep(tmp_path, f'{TEXT}max-drop = 0.01\nlabels = ["a", "b"]\n'))
    assert found.jobs[0].request(Path("out")).max_drop == 0.01
    assert found.jobs[0].request(Path("out")).columns.names == ("a", "b")


def test_the_fingerprint_is_of_content_not_of_places(tmp_path: Path) -> None:
    first = read_sweep(write_sweep(tmp_path / "a")).jobs
    assert [job.fingerprint for job in read_sweep(write_sweep(tmp_path / "b")).jobs] == [j.fingerprint for j in first]
    assert len({job.fingerprint for job in first}) == 4
    (tmp_path / "a" / "teacher" / "config.json").write_text("another")
    assert {j.fingerprint for j in read_sweep(tmp_path / "a" / "sweep.toml").jobs}.isdisjoint(
        {job.fingerprint for job in first}
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "seeds =",
            "seed =",
            "seed is unknown; allowed: teachers, budgets, targets, seeds, recipes, options, ray; did",
        ),
        ("max-drop", "max_drop", "options.max_drop is unknown; .*; did you mean 'max-drop'"),
        ("max-drop", "seed", "options.seed is unknown"),
        ('"3%"', "[3]", r"options.max-drop is \[3\]; it must be a valid number"),
        ('"3%"', '"300%"', "teachers.one is refused: max-drop: '300%' is 300%"),
        ("[0, 1]", "[0, -1]", r"seeds\[1\] is -1; it must be greater than or equal to 0"),
        ("[0, 1]", "[1, 1]", "seeds is refused: 1 is there twice"),
        ("[0, 1]", "[]", r"seeds is \[\]; list should have at least 1 item"),
        ('"2MB"', '"2XB"', r"budgets\[0\] is '2XB'; '2XB' is not a size"),
        ('"2MB"', '"1MB"', "budgets is refused: 1000000 is there twice"),
        ('["android-onnx"]', '["android-onix"]', r"targets\[0\] is refused: .*android-onix.*android-onnx"),
        ("seeds =", 'recipes = ["quik"]\nseeds =', r"recipes\[0\] is refused: .*did you mean 'quick'"),
        ("seeds =", 'recipes = ["none.toml"]\nseeds =', r"recipes\[0\] is refused: .*none.toml"),
        ('data = "train.tsv"', "", "teachers.one.data is missing"),
        (
            "[teachers.one]",
            '[teachers.ONE]\nmodel = "t"\ndata = "a.tsv"\neval = "b.tsv"\n[teachers.one]',
            "teachers has names that differ in capitals alone",
        ),
        ("[teachers.one]", '[teachers."../one"]', r"teachers has '\.\./one', which is no name of a folder"),
        ("[options]", "[ray]\ngpus = -1\n[options]", "ray.gpus is -1; it must be greater than or equal to 0"),
        ("[options]", "options", "does not read"),
    ],
)
def test_what_cannot_be_is_one_line_with_the_key(tmp_path: Path, before: str, after: str, said: str) -> None:
    assert before in TEXT
    with pytest.raises(InputError, match=rf"sweep\.toml:? {said}") as error:
        read_sweep(write_sweep(tmp_path, TEXT.replace(before, after, 1)))
    assert "\n" not in str(error.value)
