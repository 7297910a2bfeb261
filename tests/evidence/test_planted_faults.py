"""Each planted fault fails the gate, by the check that has to catch it; and the page's table is made of these."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tables import with_table
from edgepack.bundle.write import Bundle
from edgepack.evidence.gate import gate
from tests.evidence.planted import GATE_PAGE, TABLE_NAME, Fault, table
from tests.evidence.planted_faults import FAULTS
from tests.evidence.set_faults import SET_FAULTS


def check_caught(bundle: Path, fault: Fault) -> None:
    """Planted in the bundle, the fault fails the gate, by its check."""
    fault.into(bundle)
    result = gate([bundle])
    assert not result.passed
    failed = {check.name: check.reason for check in result.bundles[0].checks if check.status == "failed"}
    assert fault.caught_by in failed, failed


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}: {fault.name}")
def test_a_planted_fault_is_caught(copy: Path, fault: Fault) -> None:
    check_caught(copy, fault)


@pytest.mark.parametrize("fault", SET_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_label_sets_is_caught(set_copy: Path, fault: Fault) -> None:
    check_caught(set_copy, fault)


def test_a_healthy_bundle_of_label_sets_passes(set_bundle: Bundle) -> None:
    result = gate([set_bundle.folder])
    assert result.passed, result.table()


def test_the_table_of_planted_faults_is_as_they_are() -> None:
    page = GATE_PAGE.read_text()
    assert with_table(page, TABLE_NAME, table()) == page, "run: python -m tests.evidence.planted"
