"""Plans and builds by a profile and with a limit of time: estimated, then measured, and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgepack.build.flow import build
from edgepack.build.search_space import make_wanted
from edgepack.build.single_stage import validate_output
from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.evidence.speed_profile import SpeedProfile
from edgepack.parameters import LatencyLimit
from edgepack.target import load_target
from tests.builds.tiny import QUIET, TARGETS, Files, request
from tests.evidence.test_speed_profile import PROFILE

ONE = TARGETS[:1]
MACHINE = SpeedProfile.model_validate(PROFILE)


def test_a_limit_that_nothing_reaches_is_one_line(files: Files, tmp_path: Path) -> None:
    (tmp_path / "machine.json").write_text(json.dumps(PROFILE))
    options = ["-m", files.teacher, "-d", files.train, "--eval", files.evaluation, "-b", "60kB", "-t", ONE[0]]
    options += ["--quiet", "--speed-profile", str(tmp_path / "machine.json")]
    told = CliRunner().invoke(main, ["plan", *options, "--max-latency", "0.001ms@6"])
    assert told.exit_code == 2
    assert "error: max latency 0.001ms@6: no shape within 60,000 bytes is estimated so fast; the fastest" in told.output


def test_a_profile_has_every_targets_runtime(files: Files, tmp_path: Path) -> None:
    asked = request(files, tmp_path, speed_profile=MACHINE)
    with pytest.raises(InputError, match="nothing of pytorch-lite, which android-torchscript runs in"):
        make_wanted(asked, [load_target(name) for name in TARGETS])
    machine = make_wanted(asked, [load_target("ios-onnx")]).of("ios-onnx")
    assert (machine.shortest, machine.longest, machine.memory) == (4, 32, None)


@pytest.mark.slow
def test_a_build_says_whether_its_limit_was_reached(files: Files, tmp_path: Path) -> None:
    """Also when it is validated again, without the profile's file; the length asked for is timed."""
    limit = LatencyLimit(20.0, 6)
    with pytest.raises(InputError, match="built-in figures are of 32 to 32"):
        build(request(files, tmp_path / "out", targets=ONE, max_latency=limit), QUIET)
    asked = request(files, tmp_path / "out", targets=ONE, max_latency=limit, speed_profile=MACHINE)
    result = build(asked, QUIET)
    timed = result.latency[ONE[0]]
    assert (timed.limit_ms, timed.tokens) == (20.0, 6)
    assert timed.p50_ms is not None
    assert f"max latency 20 ms at 6 tokens {'reached' if timed.reached else 'not reached'}" in result.table()
    assert result.to_record()["latency"][ONE[0]]["reached"] is timed.reached
    recorded = json.loads((tmp_path / "out" / "edgepack.json").read_text())
    assert recorded["plan"]["max_latency"] == {"ms": 20.0, "tokens": 6}
    assert 0 < recorded["plan"]["candidates"][0]["estimated_ms"] <= 20.0
    assert "max latency 20 ms at 6 tokens" in (tmp_path / "out" / "report.html").read_text()
    again = validate_output(tmp_path / "out", QUIET)
    assert again.latency[ONE[0]].tokens == 6
