"""`--search`: candidates are trained shortly, judged on training examples that no trial sees, and the best is built."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepack.build import halving
from edgepack.build.flow import build
from edgepack.build.halving import Halving, check_optuna
from edgepack.build.inputs import Inputs, open_inputs
from edgepack.build.plan_search import PlanSearch, Trained, check_search
from edgepack.build.search_space import make_search_space
from edgepack.build.single_stage import validate_output
from edgepack.console import Console
from edgepack.errors import InputError, MissingDependency
from edgepack.machine import extras
from edgepack.plan.search import search
from edgepack.train import make_accelerator
from tests.builds.forked import start_build
from tests.builds.tiny import QUIET, TARGETS, Files, request

ONE = TARGETS[:1]


@pytest.fixture(scope="module")
def inputs(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return open_inputs(request(files, tmp_path_factory.mktemp("search"), targets=ONE), QUIET)


def trials(inputs: Inputs, count: int = 4) -> PlanSearch:
    plan = search(make_search_space(inputs), 60_000, count=count, kinds=True)
    return PlanSearch(inputs, plan, make_accelerator("cpu"), QUIET, bf16=False)


def run(study: Halving, divergences: dict[int, list[float]]) -> dict[int, int]:
    """Candidate → the rungs that it was trained at."""
    rungs: dict[int, int] = {}
    while (number := study.next()) is not None:
        for rung, value in enumerate(divergences[number]):
            rungs[number] = rung + 1
            if not study.goes_on(rung, value, rung + 1 == len(divergences[number])):
                break
    return rungs


def test_the_worse_half_ends_early_and_a_killed_study_decides_the_same(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    values = {0: [0.5, 0.4, 0.3], 1: [0.9, 0.8, 0.7], 2: [0.2, 0.15, 0.1], 3: [0.95, 0.9, 0.9]}
    journal = tmp_path / "study.journal"
    study = Halving(journal, 4)
    assert study.next() == 0
    assert study.goes_on(0, 0.5, last=False)
    rungs = run(Halving(journal, 4), values)  # in the journal of one that was killed
    assert rungs == {0: 3, 1: 1, 2: 3, 3: 1}
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    read = optuna.load_study(study_name="search", storage=storage)
    assert [(trial.user_attrs["candidate"], len(trial.intermediate_values)) for trial in read.trials] == [
        (0, 3),
        (1, 1),
        (2, 3),
        (3, 1),
    ]
    assert read.best_trial.user_attrs["candidate"] == 2


def test_without_optuna_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(MissingDependency, match=r'build --search needs optuna.*pip install "edgepack\[search\]"'):
        check_optuna()
    assert halving.NEED == "build --search"


def test_candidates_are_of_different_kinds_and_judges_are_not_trained_on(inputs: Inputs) -> None:
    found = trials(inputs)
    kinds = [(c.config.num_hidden_layers, c.config.body_bits, c.config.embedding_bits) for c in found.candidates]
    assert len(set(kinds)) == len(kinds) == 4
    seen, judged = found.parted
    assert len(judged) == round(0.1 * len(inputs.train))
    assert not set(seen) & set(judged)
    assert np.array_equal(found.parted[1], trials(inputs).parted[1])
    assert found.rungs == sorted(found.rungs)
    assert found.rungs[-1] == inputs.recipe.examples_seen // 8


def test_a_trial_is_trained_once_and_its_order_is_the_plans(inputs: Inputs, tmp_path: Path) -> None:
    found = trials(inputs, 2)
    kept = found.keep_outputs(tmp_path / "teacher")
    first = found.tried(1, 0, tmp_path, kept)
    assert 0 < first.divergence < 5
    began = time.monotonic()
    assert found.tried(1, 0, tmp_path, kept) == first
    assert time.monotonic() - began < 0.5
    assert [path.name for path in (tmp_path / "1-0").iterdir()] == ["divergence.json"], "weights are removed"


def test_who_came_further_stands_first(inputs: Inputs, tmp_path: Path) -> None:
    found = trials(inputs, 3)
    record = [Trained(0, 0, 100, 0.05), Trained(1, 1, 200, 0.4), Trained(2, 1, 200, 0.3)]

    class Done:
        folder = tmp_path

    (tmp_path / "search.json").write_text(json.dumps([vars(each) for each in record]))
    plan = found.read(Done())  # type: ignore[arg-type]
    assert [each.trial_divergence for each in plan.candidates] == [0.3, 0.4, 0.05]
    assert plan.chosen.config.to_dict() == found.candidates[2].config.to_dict()
    assert plan.chosen.describe()["trial_examples"] == 200


def test_what_cannot_be_searched_is_refused(inputs: Inputs) -> None:
    accelerator = make_accelerator("cpu")
    check_search(inputs, accelerator)
    few = replace(inputs, train=inputs.train.select(np.arange(100)))
    with pytest.raises(InputError, match="there are 100, at least 300 are needed; leave it out"):
        check_search(few, accelerator)


@pytest.mark.slow
def test_a_killed_search_ends_with_the_same_plan(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start_build(files, killed, targets=ONE, timed=False, search=3)
    while process.is_alive():
        if any(killed.glob(".edgepack/scratch/search-*/*/*-work/*")) and any(
            killed.glob(".edgepack/scratch/search-*/*/divergence.json")
        ):
            process.kill()
            break
        time.sleep(0.01)
    process.join()
    assert process.exitcode == -signal.SIGKILL, "the search was over before it could be killed"
    for output in (killed, whole):
        build(request(files, output, targets=ONE, timed=False, search=3), Console())
    told = capsys.readouterr().err
    assert "search: candidate 1 of 3, rung 1: KL" in told
    assert "short KL" in told
    plans = [json.loads((output / "edgepack.json").read_text())["plan"] for output in (killed, whole)]
    assert plans[0] == plans[1]
    assert plans[0]["candidates"][0]["trial_divergence"] > 0
    stage = next(killed.glob(".edgepack/stages/search-*"))
    assert {path.name for path in stage.iterdir() if path.is_file()} >= {"search.json"}
    assert not [path for path in stage.iterdir() if path.is_dir()], "no trial's weights are left"
    assert "KL, held out" in (killed / "report.html").read_text()
    assert validate_output(killed, QUIET).bundles, "a finished search is taken as it is"
