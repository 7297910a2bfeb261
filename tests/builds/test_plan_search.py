"""`--search`: candidates are trained shortly, judged on training examples that no trial sees, and the best is built."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edgepack.build import halving
from edgepack.build.calls import build_bundles
from edgepack.build.flow import build, plan_build
from edgepack.build.halving import Halving, check_optuna
from edgepack.build.inputs import Inputs, open_inputs
from edgepack.build.plan_search import TRAINED, PlanSearch, Trained, check_search
from edgepack.build.search_space import make_search_space
from edgepack.build.single_stage import validate_output
from edgepack.console import Console
from edgepack.errors import InputError, MissingDependency
from edgepack.machine import extras
from edgepack.plan.search import search
from edgepack.train import make_accelerator
from edgepack.workspace import Workspace
from tests.builds.forked import start_build
from tests.builds.tiny import QUIET, TARGETS, TINY, Files, request

ONE = TARGETS[:1]


@pytest.fixture(scope="module")
def inputs(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return open_inputs(request(files, tmp_path_factory.mktemp("search"), targets=ONE), QUIET)


def trials(inputs: Inputs, count: int = 4) -> PlanSearch:
    plan = search(make_search_space(inputs), 60_000, count=count, kinds=True)
    return PlanSearch(inputs, plan, make_accelerator("cpu"), QUIET, bf16=False)


VALUES = [[0.5, 0.4, 0.3], [0.9, 0.8, 0.7], [0.2, 0.15, 0.1], [0.95, 0.9, 0.9]]


def alone(study: Halving) -> list[tuple[int, int]]:
    """The trainings in their order, by one process."""
    order = []
    while wanted := study.wanted():
        order.append(wanted[0])
        study.report(*wanted[0], VALUES[wanted[0][0]][wanted[0][1]])
    return order


def test_the_worse_half_ends_early_and_optuna_reads_it(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    journal = tmp_path / "study.journal"
    assert alone(Halving(journal, 4, 3)) == [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1), (2, 2), (3, 0)]
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    read = optuna.load_study(study_name="search", storage=storage)
    states = [(trial.state.name, len(trial.intermediate_values)) for trial in read.trials]
    assert states == [("COMPLETE", 3), ("PRUNED", 1), ("COMPLETE", 3), ("PRUNED", 1)]
    assert read.best_trial.number == 2


def test_any_order_of_work_decides_what_one_process_does(tmp_path: Path) -> None:
    """Several processes hold several trainings at a time, end them in any order, and are killed with some in work."""
    pytest.importorskip("optuna")
    generator = np.random.default_rng(0)
    expected = sorted(alone(Halving(tmp_path / "one.journal", 4, 3)))
    for number in range(6):
        journal = tmp_path / f"{number}.journal"
        working: list[tuple[int, int]] = []
        done: list[tuple[int, int]] = []
        study = Halving(journal, 4, 3)
        while wanted := study.wanted():
            working += [each for each in wanted if each not in working][: 3 - len(working)]
            ended = working.pop(generator.integers(len(working)))
            study.report(*ended, VALUES[ended[0]][ended[1]])
            done.append(ended)
            if generator.random() < 0.3:  # all are killed, one of them while it writes
                working = []
                journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "wor')
                study = Halving(journal, 4, 3)
        assert sorted(done) == expected


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


@pytest.mark.slow
def test_a_candidate_of_a_process_that_dies_is_taken_again_and_the_choice_is_one_processs(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """This process begins when the other has trained one candidate, and was killed in the middle of another."""
    pytest.importorskip("optuna")
    really = PlanSearch.tried
    trained: list[tuple[int, int]] = []

    def tried(self: PlanSearch, number: int, rung: int, scratch: Path, *rest: Any) -> Trained:
        if self.inputs.request.search_jobs == 2 and not trained:
            kill_other(scratch)
        if not (scratch / f"{number}-{rung}" / TRAINED).exists():
            trained.append((number, rung))
        return really(self, number, rung, scratch, *rest)

    monkeypatch.setattr(PlanSearch, "tried", tried)
    one = searched(files, tmp_path, 1)
    trained.clear()
    assert searched(files, tmp_path, 2) == one
    assert (1, 0) not in trained, "the other process did it"
    assert (2, 0) in trained
    assert "a process ended with signal 9; its candidate is taken again" in capsys.readouterr().err


def searched(files: Files, folder: Path, jobs: int) -> list[dict[str, Any]]:
    """What a search among three came to."""
    inputs = open_inputs(request(files, folder, targets=ONE, recipe=TINY, search_jobs=jobs), QUIET)
    plan = search(make_search_space(inputs), 60_000, count=3, kinds=True)
    stage = Workspace(folder / str(jobs)).stage("search", {})
    PlanSearch(inputs, plan, make_accelerator("cpu"), Console(), bf16=False).write(stage)
    stage.finish()
    assert sorted(path.name for path in stage.folder.iterdir()) == ["search.json", "stage.json"]
    found: list[dict[str, Any]] = json.loads((stage.folder / "search.json").read_text())
    return found


def kill_other(scratch: Path) -> None:
    """Kill the process that trains candidate 2 for the first rung, when it has done candidate 1."""
    deadline = time.monotonic() + 120
    while not ((scratch / "1-0" / TRAINED).exists() and (scratch / "2-0" / "carve").exists()):
        assert time.monotonic() < deadline, [path.read_text()[-2000:] for path in scratch.glob("*.log")]
        time.sleep(0.01)
    assert not (scratch / "2-0" / TRAINED).exists()
    process = psutil.Process(int((scratch / "2-0.lock").read_text()))
    assert process.pid != os.getpid()
    process.kill()
    while psutil.pid_exists(process.pid) and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


def test_jobs_without_a_search_are_refused(files: Files, tmp_path: Path) -> None:
    asked = {"model": files.teacher, "data": files.train, "eval": files.evaluation, "budget": 60_000}
    with pytest.raises(InputError, match="jobs is 2; only a search of candidates has several"):
        build_bundles(**asked, target=ONE, output=tmp_path, jobs=2)  # type: ignore[arg-type]


def test_what_cannot_be_searched_is_refused(inputs: Inputs) -> None:
    accelerator = make_accelerator("cpu")
    check_search(inputs, accelerator)
    few = replace(inputs, train=inputs.train.select(np.arange(100)))
    with pytest.raises(InputError, match="there are 100, at least 300 are needed; leave it out"):
        check_search(few, accelerator)


def test_a_dry_run_says_that_a_search_cannot_be_made(
    files: Files, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    few = replace(inputs, train=inputs.train.select(np.arange(100)))
    monkeypatch.setattr("edgepack.build.flow.open_with_texts", lambda asked, _: (replace(few, request=asked), None))
    with pytest.raises(InputError, match="there are 100, at least 300 are needed; leave it out"):
        plan_build(request(files, tmp_path, targets=ONE, search=2), QUIET)


def _killed_in_the_search(files: Files, folder: Path, tries: int = 5) -> Path:
    """The output of a build that is killed while one candidate is judged and another is trained.

    That takes a moment which a busy machine may miss: then another build is killed.
    """
    for number in range(tries):
        output = folder / f"killed-{number}"
        process = start_build(files, output, targets=ONE, timed=False, search=3, recipe=TINY, search_jobs=2)
        while process.is_alive():
            running = any(output.glob(".edgepack/scratch/search-*/*/*-work/*"))
            if running and any(output.glob(".edgepack/scratch/search-*/*/divergence.json")):
                process.kill()
                break
            time.sleep(0.01)
        process.join()
        if process.exitcode == -signal.SIGKILL:
            return output
    raise AssertionError(f"of {tries} searches each was over before it could be killed")


@pytest.mark.slow
def test_a_killed_search_ends_with_the_same_plan(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    killed, whole = _killed_in_the_search(files, tmp_path), tmp_path / "whole"
    for output in (killed, whole):
        build(request(files, output, targets=ONE, timed=False, search=3, recipe=TINY), Console())
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
