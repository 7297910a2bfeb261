"""Each planted fault fails the gate, by the check that has to catch it; and the page's table is made of these."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tables import with_table
from edgepack.bundle.write import Bundle, write_bundle
from edgepack.errors import InputError
from edgepack.evidence.gate import gate
from edgepack.predict import Bundle as Answering
from tests.evidence.model_faults import MODEL_FAULTS
from tests.evidence.planted import GATE_PAGE, TABLE_NAME, Fault, put, table
from tests.evidence.planted_faults import FAULTS
from tests.evidence.record_faults import RECORD_FAULTS
from tests.evidence.score_faults import SCORE_FAULTS
from tests.evidence.score_world import make_score_world
from tests.evidence.set_faults import SET_FAULTS
from tests.evidence.window_faults import WINDOW_FAULTS
from tests.evidence.world import TARGET


def check_caught(bundle: Path, fault: Fault) -> None:
    """Planted in the bundle, the fault fails the gate, by its check."""
    fault.into(bundle)
    result = gate([bundle])
    assert not result.passed
    failed = {check.name: check.reason for check in result.bundles[0].checks if check.status == "failed"}
    assert fault.caught_by in failed, failed


@pytest.mark.parametrize(
    "fault", [*FAULTS, *RECORD_FAULTS, *MODEL_FAULTS], ids=lambda fault: f"{fault.kind}: {fault.name}"
)
def test_a_planted_fault_is_caught(copy: Path, fault: Fault) -> None:
    check_caught(copy, fault)


@pytest.mark.parametrize("fault", SET_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_label_sets_is_caught(set_copy: Path, fault: Fault) -> None:
    check_caught(set_copy, fault)


@pytest.fixture(scope="module")
def score_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of scores."""
    world = make_score_world(tmp_path_factory.mktemp("scores"))
    return write_bundle(tmp_path_factory.mktemp("out") / "bundles" / TARGET.name, world.contents())


def test_a_healthy_bundle_of_scores_passes(score_bundle: Bundle) -> None:
    found = gate([score_bundle.folder])
    assert [c.name for g in found.bundles for c in g.checks if c.status not in ("passed", "not_run")] == []
    assert score_bundle.passed


@pytest.mark.parametrize("fault", SCORE_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_scores_is_caught(score_bundle: Bundle, tmp_path: Path, fault: Fault) -> None:
    shutil.copytree(score_bundle.folder, tmp_path / "bundle")
    check_caught(tmp_path / "bundle", fault)


@pytest.mark.parametrize("fault", WINDOW_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_windows_is_caught(long_copy: Path, fault: Fault) -> None:
    check_caught(long_copy, fault)


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ({"overlap": 9, "combine": "mean"}, "windows of 16 tokens overlap by 9; at most 8 is allowed"),
        ({"overlap": 10**30, "combine": "mean"}, "overlap"),
        ({"overlap": -1, "combine": "mean"}, "windows.overlap"),
        ({"overlap": 4, "combine": "inner"}, "windows of text-classification are combined by inner"),
        ({"overlap": 4, "combine": "median"}, "windows.combine"),
        ([], "windows"),
    ],
)
def test_windows_that_cannot_be_are_one_line(long_copy: Path, windows: Any, said: str) -> None:
    put("edgepack.json", "windows", to=windows)(long_copy)
    with pytest.raises(InputError) as caught:
        Answering.load(long_copy)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_healthy_bundle_with_windows_passes(long_bundle: Bundle) -> None:
    result = gate([long_bundle.folder])
    assert result.passed, result.table()


def test_a_healthy_bundle_of_label_sets_passes(set_bundle: Bundle) -> None:
    result = gate([set_bundle.folder])
    assert result.passed, result.table()


def test_the_table_of_planted_faults_is_as_they_are() -> None:
    page = GATE_PAGE.read_text()
    assert with_table(page, TABLE_NAME, table()) == page, "run: python -m tests.evidence.planted"
