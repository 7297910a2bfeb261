"""`edgepack profile`: times of real files, in a file that plans read; what is no profile is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.evidence import profile_machine
from edgepack.evidence.profile_machine import Probe, profile_runtime
from edgepack.evidence.speed_profile import SpeedProfile, read_speed_profile
from edgepack.target import load_target

MODELS = [
    {"layers": n, "heads": 2, "head_size": 32, "ffn": 64 * n, "hidden": 128, "embedding": 64, "vocabulary": 500,
     "body_bits": 8, "embedding_bits": 8, "p50_ms": {"4": 0.1 * n, "32": 0.15 * n}}
    for n in range(1, 7)
]  # fmt: skip
PROFILE = {"schema": 1, "device": "a phone", "os": "an OS", "runtimes": [{"runtime": "onnxruntime", "models": MODELS}]}


def written(folder: Path, profile: object) -> Path:
    path = folder / "profile.json"
    path.write_text(json.dumps(profile))
    return path


def test_a_file_is_measured_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two real models; the others, which differ in size alone, take what the first two took."""
    monkeypatch.setattr(profile_machine, "RUNS", 2)
    monkeypatch.setattr(profile_machine, "ROUNDS", 1)
    probes = (Probe(1, 32, 1, 32), Probe(2, 32, 1, 32, tags=True))
    monkeypatch.setattr(profile_machine, "PROBES", probes)
    monkeypatch.setattr(profile_machine, "OFTEN", ())
    found = profile_runtime(load_target("android-onnx"), profile_machine.Console(quiet=True))
    assert [(model.layers, model.token_labels, model.body_bits) for model in found.models] == [(1, 0, 8), (2, 9, 8)]
    assert all(set(model.p50_ms) == {16, 32, 64, 128} and model.peak_bytes for model in found.models)
    assert found.version

    every = [m.model_copy(update={"ffn": 32 * n}) for m in found.models for n in range(1, 4)]
    monkeypatch.setattr(
        profile_machine, "profile_runtime", lambda *_: found.model_copy(update={"models": every})
    )  # fmt: skip
    out = tmp_path / "machine.json"
    told = CliRunner().invoke(main, ["profile", "-t", "android-onnx", "-t", "ios-onnx", "-o", str(out), "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["runtimes"]["onnxruntime"]["models"] == 6, "two targets of one runtime, once"
    read = read_speed_profile(out)
    assert read.of(load_target("linux-onnx")) == read.runtimes[0]
    assert read.of(load_target("android-torchscript")) is None


def test_a_profile_of_a_device_needs_shapes_and_times_alone(tmp_path: Path) -> None:
    read = read_speed_profile(written(tmp_path, PROFILE))
    assert read.device == "a phone"
    assert read.runtimes[0].models[0].peak_bytes is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema: Input should be 1"),
        ({"runtimes": []}, "runtimes: List should have at least 1 item"),
        ({"runtimes": [{"runtime": "onnxruntime", "models": MODELS[:3]}]}, "has models of 3 shapes; at least 6"),
        ({"runtimes": [{"runtime": "x", "models": [{**MODELS[0], "p50_ms": {"16": 0}}]}]}, "greater than 0"),
        ({"runtimes": [{"runtime": "x", "models": [{**MODELS[0], "layers": None}]}]}, "layers"),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_speed_profile(written(tmp_path, {**PROFILE, **change}))
    assert "profile" in str(caught.value)


def test_the_schema_takes_what_is_written(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[2] / "docs/schemas/speed-profile.json").read_text())
    jsonschema.validate(PROFILE, schema)
    own = json.loads(SpeedProfile.model_validate(PROFILE).model_dump_json(by_alias=True))
    jsonschema.validate(own, schema)
