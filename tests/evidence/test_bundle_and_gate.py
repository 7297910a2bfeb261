"""A tiny ONNX bundle from carve to gate: what is right passes, and each kind of damage fails its own check."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from edgepack.bundle.goldens import HARD_TEXTS, check_goldens, read_goldens
from edgepack.bundle.manifest import BuildManifest, load_manifest, write_model
from edgepack.bundle.verdict import Verdict, blame
from edgepack.bundle.write import Bundle, write_bundle
from edgepack.errors import CheckFailed, InputError
from edgepack.evidence import measure as measuring
from edgepack.evidence.forms import FormLogits, agreement, compare, divergence, pair_decisions, parity_check
from edgepack.evidence.gate import gate
from edgepack.evidence.measure import WARM_UPS, Loaded, Subject, Teachers, measure, measure_once
from edgepack.evidence.policy import JUDGED, read_policy
from edgepack.export import export
from edgepack.report import write_report
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from edgepack.tokenizer.asset import ASSET_NAME
from tests.evidence.world import MAX_LENGTH, TARGET, World


def statuses(folder: Path, policy: Path | None = None, evaluation: str | None = None) -> dict[str, str]:
    (result,) = gate([folder], policy, evaluation=evaluation).bundles
    return {check.name: check.status for check in result.checks}


def test_a_good_bundle_passes(bundle: Bundle, world: World) -> None:
    assert bundle.passed, bundle.verdict.checks
    result = gate([bundle.folder], evaluation=str(world.data))
    assert result.passed, result.table()
    assert {c.name for c in result.bundles[0].checks} == {*JUDGED, "metric"}


def test_layout_and_manifest(bundle: Bundle, world: World) -> None:
    manifest = load_manifest(bundle.folder)
    assert {f.path for f in manifest.files} == {
        "README.md", "config.json", "golden.jsonl", TARGET.file, ASSET_NAME, "tokenizer.json",
        "tokenizer_config.json", "verdict.json",
    }  # fmt: skip
    sizes = {p: (bundle.folder / p).stat().st_size for p in (TARGET.file, ASSET_NAME)}
    assert manifest.shipped_bytes == sum(sizes.values())
    assert {f.path for f in manifest.files if f.shipped} == set(sizes)
    assert json.loads((bundle.folder / "edgepack.json").read_text())["schema"] == 1
    config = json.loads((bundle.folder / "config.json").read_text())
    assert (config["model_type"], config["id2label"]["1"]) == ("bert", "positive")


def test_two_writings_are_the_same_bytes_but_created(bundle: Bundle, world: World, tmp_path: Path) -> None:
    again = write_bundle(tmp_path / "again", world.contents())
    assert again.manifest.files == bundle.manifest.files
    assert [p.name for p in tmp_path.iterdir()] == ["again"]


def test_goldens_hold_the_hard_texts(bundle: Bundle) -> None:
    goldens = list(read_goldens(bundle.folder / "golden.jsonl"))
    assert {g["text"] for g in goldens} >= set(HARD_TEXTS)
    assert {len(g["input_ids"]) for g in goldens} >= {2, MAX_LENGTH - 1, MAX_LENGTH}
    assert all(len(g["input_ids"]) == len(g["offsets_utf16"]) == len(g["attention_mask"]) for g in goldens)
    assert check_goldens(bundle.folder, TARGET, MAX_LENGTH) == []


def edit_golden(folder: Path, key: str, value: object) -> list[str]:
    path = folder / "golden.jsonl"
    lines = path.read_text().splitlines()
    golden = json.loads(lines[0])
    golden[key] = value
    path.write_text("\n".join([json.dumps(golden), *lines[1:]]))
    return check_goldens(folder, TARGET, MAX_LENGTH)


@pytest.mark.parametrize(
    ("key", "value"), [("input_ids", [2, 3]), ("logits", [9.0, -9.0]), ("logits", [1.0]), ("offsets_utf16", [])]
)
def test_wrong_goldens_are_found(copy: Path, key: str, value: object) -> None:
    failures = edit_golden(copy, key, value)
    assert len(failures) == 1
    assert failures[0].startswith("golden 1: ")


@pytest.mark.parametrize("name", [TARGET.file, ASSET_NAME, "golden.jsonl", "verdict.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damage_fails_the_files_check(copy: Path, name: str, damage: str) -> None:
    path = copy / name
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(data[:-7])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    assert statuses(copy)["files"] == "failed"


def test_a_file_that_was_added_fails(copy: Path) -> None:
    (copy / "extra.bin").write_bytes(b"x")
    assert statuses(copy)["files"] == "failed"


def test_a_broken_manifest_fails_and_none_is_misuse(copy: Path) -> None:
    (copy / "edgepack.json").write_text('{"schema": 2}')
    assert not gate([copy]).passed
    (copy / "edgepack.json").unlink()
    with pytest.raises(InputError, match="no bundle"):
        gate([copy])


def rewrite(folder: Path, name: str, change: dict[str, object]) -> None:
    """Change a JSON file and the manifest's record of it, as a careful forger would."""
    from edgepack.workspace import sha256_file

    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    if name != "edgepack.json":
        manifest = json.loads((folder / "edgepack.json").read_text())
        for record in manifest["files"]:
            if record["path"] == name:
                record |= {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        (folder / "edgepack.json").write_text(json.dumps(manifest))


def test_budget_and_forged_sizes(copy: Path) -> None:
    rewrite(copy, "edgepack.json", {"budget_bytes": 100})
    assert statuses(copy)["size"] == "failed"
    rewrite(copy, "edgepack.json", {"budget_bytes": 10**6, "shipped_bytes": 1})
    assert statuses(copy)["size"] == "failed"


def test_a_check_that_was_not_run_fails_unless_waived(copy: Path, tmp_path: Path) -> None:
    checks = json.loads((copy / "verdict.json").read_text())["checks"]
    rewrite(copy, "verdict.json", {"checks": [c for c in checks if c["name"] != "parity"]})
    assert statuses(copy)["parity"] == "not_run"
    assert not gate([copy]).passed
    policy = tmp_path / "gate.toml"
    policy.write_text('waive = ["parity"]')
    assert gate([copy], policy, junit=tmp_path / "junit.xml").passed
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")


@pytest.mark.parametrize(
    ("policy", "check"),
    [
        ("max_bytes = 10", "size"),
        ("max_p50_ms = 0.1", "latency"),
        ('require = ["metric"]', "metric"),
        ("min_agreement = 0.0", None),
        ("max_drop = 0.0", "retention"),
        ("max_drop = 0.02", "retention"),  # 75 examples without a fault cannot show that
        ("max_drop = 0.1\nconfidence = 0.99", None),
    ],
)
def test_policies(bundle: Bundle, tmp_path: Path, policy: str, check: str | None) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(policy)
    failures = [c.name for c in gate([bundle.folder], path).bundles[0].failures]
    assert failures == ([] if check is None else [check])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_dropp = 1.0", "'max_dropp' is unknown; allowed keys: max_drop, .*; did you mean 'max_drop'"),
        ("max_drop = '2%'", "'max_drop' is '2%'; it must be a valid number"),
        ("max_drop = 2.0", "'max_drop' is 2.0; it must be less than 1"),
        ("max_bytes = 0", "'max_bytes' is 0; it must be greater than 0"),
        ('waive = ["nothing"]', "'waive' names 'nothing'; checks are"),
        ('[[waiver]]\nchek = "size"', "'waiver.0.chek' is unknown; allowed keys: check, reason, until; .*'check'"),
        ('[[waiver]]\ncheck = "size"\nreason = "x"', "'waiver.0.until' is missing; give it"),
        (
            '[[waiver]]\ncheck = "size"\nreason = "x"\nuntil = "soon"',
            "'waiver.0.until' is 'soon'; it must be a day, such as 2026-12-31",
        ),
    ],
)
def test_bad_policies_name_file_key_and_value(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"gate\.toml: key {said}"):
        read_policy(path)


def test_validation_passes_and_says_how_close(world: World) -> None:
    verdict = world.verdict()
    assert verdict.check("goldens").status == "not_run"
    assert not verdict.passed  # a check that was not run is no pass
    assert {c.name: c.status for c in verdict.checks if c.name != "goldens"} == dict.fromkeys(
        ("size", "retention", "parity", "finite"), "passed"
    )
    assert verdict.retention is not None
    assert verdict.retention.value == 1.0
    assert [s.name for s in verdict.parity] == ["student", "quantized", "artifact"]
    assert verdict.parity[-1].relative_error < 0.04
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_a_wrong_artifact_is_blamed_on_export(world: World, tmp_path: Path) -> None:
    other = Student(world.student.config)
    other.load_state_dict(world.student.state_dict())
    with torch.no_grad():
        other.head.classifier.weight.neg_()
    wrong = export(other.eval(), TARGET, tmp_path)
    verdict = world.verdict(wrong.path)
    assert verdict.check("parity").status == "failed"
    assert verdict.check("retention").status == "failed"
    assert verdict.blame == "export"
    assert blame({name: verdict.metrics["teacher"] for name in ("teacher", "student", "quantized", "artifact")}) is None


def test_divergence_is_the_mean_kl_of_the_teachers_probabilities(world: World) -> None:
    teacher = FormLogits("teacher", world.logits, world.evaluation)
    shifted = world.logits + 3.0  # the same probabilities
    assert divergence(FormLogits("artifact", shifted, world.evaluation), teacher) == pytest.approx(0, abs=1e-6)
    uniform = FormLogits("artifact", np.zeros_like(world.logits), world.evaluation)
    probabilities = np.exp(teacher.scored()) / np.exp(teacher.scored()).sum(axis=1, keepdims=True)
    entropy = -(probabilities * np.log(probabilities)).sum(axis=1).mean()
    assert divergence(uniform, teacher) == pytest.approx(np.log(probabilities.shape[1]) - entropy, rel=1e-5)


def test_words_that_truncation_left_to_one_side_alone_are_not_compared() -> None:
    one, other = (
        Encoded(np.zeros(len(labels), np.int32), np.zeros(len(labels), np.int8), np.array(offsets), np.array(labels))
        for labels, offsets in (
            ([-100, 0, 1, 1, -100, -100, 2, -100], [0, 5, 8]),  # three words, one word
            ([-100, 0, -100, 1, -100, -100, 2, -100, 0, -100], [0, 5, 10]),  # two words, two words
        )
    )
    a = FormLogits("artifact", np.arange(8 * 3, dtype=np.float32).reshape(8, 3), one)
    b = FormLogits("teacher", 100 + np.arange(10 * 3, dtype=np.float32).reshape(10, 3), other)
    both = pair_decisions(a, b)
    left, right = both.after, both.before
    assert left[:, 0].tolist() == [3, 6, 18]
    assert right[:, 0].tolist() == [103, 109, 118]
    assert agreement(a, b) == 1.0
    b.logits[3] = [9, 0, 0]  # the second word's decision
    assert agreement(a, b) == pytest.approx(2 / 3)
    assert compare(a, b, 1.0).agreement == pytest.approx(2 / 3)


def test_a_scale_error_fails_parity_where_decisions_agree(world: World) -> None:
    right = FormLogits("quantized", world.logits, world.evaluation)
    scaled = compare(FormLogits("artifact", world.logits * 1.2, world.evaluation), right, 1.0)
    assert scaled.agreement == 1.0
    assert scaled.relative_error == pytest.approx(0.2, abs=1e-6)
    assert parity_check(scaled).status == "failed"
    assert parity_check(compare(right, right, 1.0)).status == "passed"


def test_over_budget_fails(world: World) -> None:
    check = world.verdict(budget_bytes=5_000).check("size")
    assert (check.status, check.limit) == ("failed", 5_000)


def test_measuring_in_a_fresh_process(bundle: Bundle) -> None:
    subject = Subject("artifact", bundle.folder / TARGET.file, TARGET.name)
    speed = measure({"artifact": subject}, token_counts=(4, 8), runs=3, repeats=1)["artifact"]
    assert set(speed.p50_ms) == {4, 8}
    assert speed.p50_ms[4] > 0
    assert speed.resident_bytes is not None
    assert speed.first_ms is not None
    assert speed.first_ms > 0
    assert speed.baseline_bytes * 0.9 <= speed.resident_bytes <= speed.peak_bytes
    assert speed.baseline_bytes <= speed.peak_bytes < 600e6  # torch's process alone would take about as much


def test_a_process_that_dies_or_does_not_answer_is_one_line(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Subject("artifact", tmp_path / "missing.onnx", TARGET.name)
    with pytest.raises(CheckFailed, match=r"missing\.onnx ended with code 1: .*missing\.onnx"):
        measure({"artifact": missing}, token_counts=(4,), runs=1, repeats=1)
    monkeypatch.setattr(measuring, "TIMEOUT_S", 0.01)
    with pytest.raises(CheckFailed, match=r"more than 0\.01 s; measure fewer tokens or runs"):
        measure_once(Subject("artifact", bundle.folder / TARGET.file, TARGET.name), (4,), 1)


@pytest.mark.parametrize(("seconds", "runs"), [(0.05, 30), (0.15, 14), (1.0, 10)])
def test_a_slow_model_is_run_less_often(monkeypatch: pytest.MonkeyPatch, seconds: float, runs: int) -> None:
    counted: list[int] = []
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: len(counted) * seconds)
    loaded = Loaded(lambda count: counted.append(count) or 1.0, load_ms=1)
    sample = next(measuring.measure_here(lambda: loaded, (4,), 30))
    assert sample["p50_ms"] == {4: 1.0}
    assert len(counted) == 1 + WARM_UPS + runs


def test_a_teacher_keeps_its_process_and_an_artifact_has_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    @contextmanager
    def started(subject: Subject, *_: object) -> Iterator[Callable[[], dict[str, object]]]:
        seen.append(f"{subject.kind} starts")
        figures = dict.fromkeys(("load_ms", "first_ms", "peak_bytes", "baseline_bytes", "resident_bytes"), 1)
        yield lambda: seen.append(subject.kind) or {**figures, "p50_ms": {"4": 1}}
        seen.append(f"{subject.kind} ends")

    monkeypatch.setattr(measuring, "started", started)
    measure({kind: Subject(kind, Path(), "") for kind in ("artifact", "teacher")}, token_counts=(4,), repeats=2)
    artifact = ["artifact starts", "artifact", "artifact ends"]
    assert seen == [*artifact, "teacher starts", "teacher", *artifact, "teacher", "teacher ends"]
    seen.clear()
    with Teachers() as teachers:
        for path in ("a", "b"):
            subjects = {"artifact": Subject("artifact", Path(path), ""), "teacher": Subject("teacher", Path(), "")}
            measure(subjects, token_counts=(4,), repeats=1, teachers=teachers)
    assert seen == [*artifact, "teacher starts", "teacher", *artifact, "teacher", "teacher ends"]


def test_report(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(bundle.folder, out / "bundles" / TARGET.name)
    name = "<script>alert(1)</script>"
    build = BuildManifest(
        inputs={name: {"path": "train.tsv", "sha256": "ab"}}, plan={"layers": 2}, stages=[{"name": "plan"}],
        versions={"edgepack": "0"}, seed=3, metrics={}, created="2026-11-23T00:00:00+00:00",
        artifacts=[{"target": TARGET.name, "bundle": f"bundles/{TARGET.name}", "passed": True}],
    )  # fmt: skip
    write_model(out / "edgepack.json", build)
    markdown, html = (path.read_text() for path in write_report(out))
    assert f"{bundle.manifest.shipped_bytes:,}" in markdown
    assert "retention" in markdown
    assert name not in html
    assert "://" not in html  # loads nothing
    with pytest.raises(InputError, match="no build"):
        write_report(tmp_path)
