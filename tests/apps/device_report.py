"""A device report that an app's own code wrote here is held to its schema and given to the gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgepack.bundle.manifest import artifact_sha256, load_manifest
from edgepack.errors import InputError
from edgepack.evidence.device import DeviceReport
from edgepack.evidence.gate import gate

KEYS = {field.alias or name for name, field in DeviceReport.model_fields.items()}
NEVER_MS = 1e-6


def check_report(bundle: Path, path: Path) -> None:
    """The report in the file `path`, of the bundle's model: what it holds, and what the gate makes of it.

    No computer says how warm it is: that alone keeps the check `device` from passing.
    """
    report = json.loads(path.read_text())
    assert set(report) == KEYS
    assert report["artifact_sha256"] == artifact_sha256(load_manifest(bundle))
    assert report["goldens"] == report["goldens_passed"] == len((bundle / "golden.jsonl").read_text().splitlines())
    assert report["thermal"] == "unknown"
    tokens = max(map(int, report["p50_ms"]))
    assert statuses(bundle, path, tokens, 1e6) == {"device": "not_run", "latency": "passed"}
    cool = write(path, report, thermal="nominal")
    assert statuses(bundle, cool, tokens, 1e6) == {"device": "passed", "latency": "passed"}
    assert statuses(bundle, cool, tokens, NEVER_MS) == {"device": "passed", "latency": "failed"}
    one_less = write(path, report, thermal="nominal", goldens_passed=report["goldens"] - 1)
    assert statuses(bundle, one_less, tokens, 1e6) == {"device": "failed", "latency": "passed"}
    foreign = write(path, report, artifact_sha256="0" * 64)
    with pytest.raises(InputError, match="none of the bundles holds it"):
        statuses(bundle, foreign, tokens, 1e6)


def write(path: Path, report: dict[str, Any], **changes: Any) -> Path:
    """The report with other values, in a file beside it."""
    other = path.with_name("changed.json")
    other.write_text(json.dumps({**report, **changes}))
    return other


def statuses(bundle: Path, report: Path, tokens: int, p50_ms: float) -> dict[str, str]:
    """What the gate says of device and latency under a policy with this limit."""
    policy = report.with_name("gate.toml")
    policy.write_text(f"max_p50_ms = {p50_ms}\nlatency_tokens = {tokens}\n")
    (result,) = gate([bundle], policy, device_reports=[report]).bundles
    return {check.name: check.status for check in result.checks if check.name in ("device", "latency")}
