"""What a phone measured: the record that an app or a device farm writes, and the checks of it.

A report belongs to one artifact, which it names by sha256. `edgepack gate --device-report FILE` takes it, and the
policy's limits of latency, load time and memory are then held against the device instead of the machine that validated.
A phone that throttled, or on which a golden did not come out, has measured something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgepack.bundle.manifest import BundleManifest, artifact_sha256, parse_model
from edgepack.bundle.record import Record
from edgepack.bundle.verdict import Check
from edgepack.errors import InputError

Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
THROTTLED = ("serious", "critical")
MOST_BYTES = 1_000_000  # of a report: it holds a few dozen figures


class DeviceReport(Record):
    """Figures of one artifact on one device; batch 1, by the number of tokens where it says so."""

    device: str = Field(min_length=1)
    os: str = Field(min_length=1)
    runtime: str = Field(min_length=1)  # name and version
    artifact_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    load_ms: Milliseconds
    p50_ms: dict[int, Milliseconds] = Field(min_length=1)
    p95_ms: dict[int, Milliseconds] = Field(default_factory=dict)
    peak_bytes: int = Field(gt=0)
    resident_bytes: int | None = Field(default=None, gt=0)  # once the model is loaded, before the first run
    thermal: Literal["nominal", "fair", "serious", "critical"]
    goldens: int = Field(ge=0)  # how many were run there
    goldens_passed: int = Field(ge=0)


def read_device_report(path: Path) -> DeviceReport:
    """A report from JSON; an `InputError` names the file and the key that is wrong."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{path} has {size:,} bytes; a device report has at most {MOST_BYTES:,}, see docs/gate.md")
        return parse_model(path.read_bytes(), DeviceReport, str(path))
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}; give the JSON file of a run on a device") from e


def report_of(manifest: BundleManifest, reports: Sequence[DeviceReport]) -> DeviceReport | None:
    """The report of this bundle's artifact, the last one where there are several."""
    wanted = artifact_sha256(manifest)
    return next((report for report in reversed(reports) if report.artifact_sha256 == wanted), None)


def device_check(report: DeviceReport) -> Check:
    """Whether every golden came out on the device, and it was cool enough for its times to mean something."""
    where = f"{report.device}, {report.os}, {report.runtime}"
    right = report.goldens > 0 and report.goldens_passed == report.goldens
    said = f"{where}: {report.goldens_passed} of {report.goldens} goldens came out, thermal state {report.thermal}"
    cool = report.thermal not in THROTTLED
    reason = said if right and cool else f"{said}; all goldens and a thermal state of nominal or fair are needed"
    return Check(
        name="device",
        status="passed" if right and cool else "failed",
        value=report.goldens_passed,
        limit=report.goldens,
        reason=reason,
    )
