"""What a phone measured: the record that an app or a device farm writes, and the checks of it.

The schema is docs/schemas/device-report.json. A report belongs to one artifact, which it names by sha256. With
`edgepack gate --device-report FILE` the policy's limits of latency, load time and memory are held against the device
instead of the machine that validated; of several devices against each. A phone that throttled, or on which a golden
did not come out, has measured something else; one that does not say how warm it was has not shown that it did not
throttle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from edgepack.bounded import read_file
from edgepack.bundle.manifest import BundleManifest, artifact_sha256, parse_model
from edgepack.bundle.record import Record
from edgepack.bundle.verdict import Check, Status
from edgepack.errors import InputError, bare, shown

LONGEST_MS, MOST_MEMORY = 1e9, 10**15  # what is beyond is no time or memory of a phone
Milliseconds = Annotated[float, Field(gt=0, le=LONGEST_MS, allow_inf_nan=False)]
MemoryBytes = Annotated[int, Field(gt=0, le=MOST_MEMORY)]
Tokens = Annotated[int, Field(gt=0, le=100_000)]
Words = Annotated[str, Field(min_length=1, max_length=200)]
Times = dict[Tokens, Milliseconds]
MOST_COUNTS = 64  # token counts of a report
THROTTLED = ("serious", "critical")
MOST_BYTES = 1_000_000  # of a report: it holds a few dozen figures
REMEDY = "let the app write it again (docs/gate.md has its keys)"


class DeviceReport(Record):
    """Figures of one artifact on one device: batch 1, one thread, times by the number of tokens.

    Memory is of the whole process, the app's own included. `thermal` is the worst state that was seen.
    """

    model_config = ConfigDict(strict=True)
    left_out: ClassVar[tuple[str, ...]] = ("first_ms", "resident_bytes", "runs")

    schema_version: Literal[1] = Field(default=1, alias="schema")
    device: Words
    os: Words
    runtime: Words  # name and version
    app: str = Field(default="", max_length=200)  # its id and version
    created: str = Field(default="", max_length=200)  # when, as ISO 8601
    artifact_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    load_ms: Milliseconds  # opening the model, in a process that had not opened it
    first_ms: Milliseconds | None = None  # the first inference after that
    p50_ms: Times = Field(min_length=1, max_length=MOST_COUNTS)
    p95_ms: Times = Field(default_factory=dict, max_length=MOST_COUNTS)
    runs: int | None = Field(default=None, gt=0, le=10**6)  # at each number of tokens
    peak_bytes: MemoryBytes
    resident_bytes: MemoryBytes | None = None  # once the model is loaded, before the first run
    thermal: Literal["nominal", "fair", "serious", "critical", "unknown"]
    goldens: int = Field(ge=0, le=10**6)  # how many were run there
    goldens_passed: int = Field(ge=0, le=10**6)

    @model_validator(mode="after")
    def _check_figures(self) -> DeviceReport:
        if self.goldens_passed > self.goldens:
            raise ValueError(f"{self.goldens_passed} of {self.goldens} goldens passed")
        for tokens, ms in self.p95_ms.items():
            if ms < self.p50_ms.get(tokens, ms):
                raise ValueError(f"at {tokens} tokens p95 is {ms:g} ms and p50 {self.p50_ms[tokens]:g} ms")
        if self.resident_bytes is not None and self.resident_bytes > self.peak_bytes:
            raise ValueError(f"{self.resident_bytes:,} bytes stayed of a peak of {self.peak_bytes:,}")
        return self

    @property
    def where(self) -> str:
        """Device, system and runtime in words."""
        return f"{self.device}, {self.os}, {self.runtime}"


def read_device_report(path: Path) -> DeviceReport:
    """A report from JSON; an `InputError` names the file and the key that is wrong."""
    return parse_model(read_file(path, MOST_BYTES, bare(str(path), 200)), DeviceReport, str(path), REMEDY)


def reports_of(manifest: BundleManifest, reports: Sequence[DeviceReport]) -> tuple[DeviceReport, ...]:
    """The reports of this bundle's artifact."""
    wanted = artifact_sha256(manifest)
    return tuple(report for report in reports if report.artifact_sha256 == wanted)


def refuse_foreign(reports: Sequence[DeviceReport], artifacts: set[str]) -> None:
    """`InputError` for a report of an artifact that is none of these, which are named by sha256."""
    for report in reports:
        if report.artifact_sha256 not in artifacts:
            raise InputError(
                f"the device report of {shown(report.device)} is of artifact {report.artifact_sha256[:12]}…; "
                "none of the bundles holds it: measure the one that is to be released"
            )


def device_check(report: DeviceReport, goldens: int) -> Check:
    """Whether each of the bundle's `goldens` came out there, and it was cool enough for its times to mean something."""
    right = report.goldens_passed == report.goldens == goldens
    run = "" if report.goldens == goldens else f", the bundle has {goldens}"
    said = f"{report.where}: {report.goldens_passed} of {report.goldens} goldens came out{run}"
    said += f", thermal state {report.thermal}"
    status: Status = "passed" if right and report.thermal not in THROTTLED else "failed"
    if right and report.thermal == "unknown":
        status = "not_run"
    reason = said if status == "passed" else f"{said}; all goldens and a thermal state of nominal or fair are needed"
    return Check(name="device", status=status, value=report.goldens_passed, limit=goldens, reason=reason)
