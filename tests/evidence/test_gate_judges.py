"""What the gate makes of bundles that no single planted fault describes: several at once, panics, students, batches."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgepack.bundle.manifest import load_manifest, model_hashes
from edgepack.bundle.write import Bundle, write_bundle
from edgepack.errors import InputError, MissingDependency, NotRunHere
from edgepack.evidence import gate as gate_module
from edgepack.evidence.batches import batches_check, mixed, vocabulary_check
from edgepack.evidence.forms import FormLogits
from edgepack.evidence.gate import answered, gate
from edgepack.evidence.opened import OpenBundle
from edgepack.evidence.validate import Reference, not_run, student_forms
from edgepack.evidence.verdict_consistency import verdict_faults
from edgepack.export import export
from edgepack.student.model import Student
from edgepack.task.task import Task
from tests.evidence.planted import EVERYWHERE, Fault, both, new_goldens
from tests.evidence.planted_faults import scaled
from tests.evidence.world import TARGET, World


class PanicException(BaseException):
    """Like the one of PyO3, which is no `Exception`."""


ERRORS = [PanicException("called `Option::unwrap()`"), RecursionError(), KeyError("a"), MemoryError()]


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_a_check_stumbles_over_is_its_own_failure(error: BaseException) -> None:
    def stumble() -> list[object]:
        raise error

    seconds: dict[str, float] = {}
    (check,) = answered("tokenizer", stumble, seconds)  # type: ignore[arg-type]
    assert (check.name, check.status) == ("tokenizer", "failed")
    assert check.reason.startswith(f"the bundle is damaged: {type(error).__name__}: ")
    assert seconds.keys() == {"tokenizer"}


@pytest.mark.parametrize("error", [NotRunHere("only on macOS"), MissingDependency("run: pip install x")])
def test_what_this_machine_lacks_is_not_run(error: Exception) -> None:
    def lack() -> list[object]:
        raise error

    (check,) = answered("goldens", lack, {})  # type: ignore[arg-type]
    assert (check.status, check.reason) == ("not_run", str(error))


def test_a_user_can_still_stop_it() -> None:
    def stop() -> list[object]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answered("files", stop, {})  # type: ignore[arg-type]


def test_a_damaged_bundle_does_not_keep_the_others_from_being_judged(
    bundle: Bundle, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Damaged:
        def __call__(self, opened: OpenBundle) -> None:
            if opened.folder == copy:
                raise PanicException

    real = gate_module.tokenizer_check
    damaged = Damaged()
    monkeypatch.setattr(gate_module, "tokenizer_check", lambda opened: damaged(opened) or real(opened))
    broken, whole = gate([copy, bundle.folder]).bundles
    assert [check.name for check in broken.failures] == ["tokenizer"]
    assert whole.failures == ()
    assert set(broken.seconds) >= {"files", "tokenizer", "vocabulary"}


def test_a_reason_is_one_line_whatever_a_bundle_is_called(copy: Path) -> None:
    (copy / "\x1b[2Jx\nPASSED").write_bytes(b"x")
    (copy / "\udcff").write_bytes(b"x")
    (result,) = gate([copy]).bundles
    assert "\x1b" not in result.checks[0].reason
    assert "\n" not in result.checks[0].reason
    result.checks[0].reason.encode()


def save(student: Student, folder: Path) -> Path:
    student.save_pretrained(folder)
    return folder


def test_the_builds_student_shows_what_no_hash_can(world: World, copy: Path, tmp_path: Path) -> None:
    student = save(world.student, tmp_path / "student")
    assert gate([copy], student=student).passed
    Fault("", "", both(scaled(-1.0), new_goldens), EVERYWHERE, "").into(copy)
    assert gate([copy]).passed  # nothing in the bundle contradicts it
    (result,) = gate([copy], student=student).bundles
    assert [check.name for check in result.failures] == ["student"]


def test_another_tasks_student_and_no_student(world: World, bundle: Bundle, tmp_path: Path) -> None:
    config = type(world.student.config)(**{**world.student.config.to_dict(), "num_labels": 3})
    torch.manual_seed(0)
    (result,) = gate([bundle.folder], student=save(Student(config), tmp_path / "other")).bundles
    assert "with 3 outputs" in result.failures[0].reason
    with pytest.raises(InputError, match="is no student"):
        gate([bundle.folder], student=tmp_path)
    (tmp_path / "gate.toml").write_text('require = ["student"]')
    (result,) = gate([bundle.folder], tmp_path / "gate.toml").bundles
    assert [(check.name, check.status) for check in result.failures] == [("student", "not_run")]


def test_where_a_file_takes_one_text_the_sequence_is_padded(bundle: Bundle) -> None:
    opened = OpenBundle(bundle.folder, bundle.manifest, replace(TARGET, fixed_batch=1))
    check = batches_check(opened)
    assert check.status == "passed"
    assert 0 < check.value < 0.05  # type: ignore[operator]
    assert vocabulary_check(opened).status == "passed"


def test_groups_hold_short_and_long_texts() -> None:
    goldens = [{"input_ids": [0] * n} for n in (1, 2, 3, 4, 5, 6, 7, 8, 9)]
    groups = mixed(goldens, 4)
    assert sorted(len(g["input_ids"]) for group in groups for g in group) == list(range(1, 10))
    assert all(len(group) <= 4 for group in groups)
    assert all(len(group[-1]["input_ids"]) - len(group[0]["input_ids"]) >= 3 for group in groups)


def test_verdicts_of_validation_hang_together_whatever_they_say(world: World, tmp_path: Path) -> None:
    assert verdict_faults(world.verdict()) == []
    assert verdict_faults(world.verdict(budget_bytes=5_000)) == []
    other = Student(world.student.config)
    other.load_state_dict(world.student.state_dict())
    with torch.no_grad():
        other.head.classifier.weight.neg_()
    wrong = world.verdict(export(other.eval(), TARGET, tmp_path).path)
    assert not wrong.passed
    assert verdict_faults(wrong) == []
    teacher = FormLogits("teacher", world.logits, world.evaluation)
    reference = Reference(world.task, world.student, world.evaluation, world.logits)
    forms = [teacher, *student_forms(world.student, world.evaluation)]
    assert verdict_faults(not_run(TARGET, forms, reference, 10, 20, "not here")) == []


def test_a_model_that_is_not_the_validated_one_is_not_bundled(world: World, tmp_path: Path) -> None:
    contents = world.contents()
    assert contents.verdict.judged == model_hashes(world.artifact.path, TARGET)
    other = replace(contents, verdict=contents.verdict.model_copy(update={"judged": {TARGET.file: "0" * 64}}))
    with pytest.raises(InputError, match="is not the file that was validated"):
        write_bundle(tmp_path / "out" / "bundle", other)
    assert list((tmp_path / "out").iterdir()) == []


def test_hashes_of_a_model_that_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model.mlpackage"
    (folder / "Data").mkdir(parents=True)
    (folder / "Data" / "weight.bin").write_bytes(b"w")
    (folder / "Manifest.json").write_bytes(b"{}")
    target = replace(TARGET, file="model.mlpackage")
    assert list(model_hashes(folder, target)) == ["model.mlpackage/Data/weight.bin", "model.mlpackage/Manifest.json"]


def test_goldens_of_pairs_and_of_few_examples(world: World, tmp_path: Path) -> None:
    task = Task(world.task.name, world.task.labels, pair=True)
    contents = world.contents()
    few = {name: record.model_copy(update={"n": 3}) for name, record in contents.verdict.metrics.items()}
    texts = [("a b", "c"), ("d", "e f g"), ("h", "a")]
    assert contents.verdict.analysis is not None
    analysis = contents.verdict.analysis.model_copy(update={"sureness": None})
    verdict = contents.verdict.model_copy(update={"metrics": few, "analysis": analysis})
    made = write_bundle(
        tmp_path / "bundle", replace(contents, task=task, golden_texts=texts, verdict=verdict, evaluation=None)
    )
    (result,) = gate([made.folder]).bundles
    failed = [c.name for c in result.failures]  # classes and counts are of the whole data
    assert failed == ["consistency", "retention"], result.failures
    manifest = json.loads((made.folder / "edgepack.json").read_text())
    (made.folder / "edgepack.json").write_text(json.dumps({**manifest, "pair": False}))
    goldens = next(check for check in gate([made.folder]).bundles[0].checks if check.name == "goldens")
    assert "are pairs; the task has the other" in goldens.reason


def test_the_folder_may_lie_behind_a_link_and_hold_empty_folders(copy: Path, tmp_path: Path) -> None:
    (copy / "empty" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(copy)
    assert gate([tmp_path / "link"]).passed
    shutil.copytree(copy, tmp_path / "again")
    assert load_manifest(tmp_path / "again") == load_manifest(copy)
