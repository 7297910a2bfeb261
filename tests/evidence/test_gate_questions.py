"""What the gate asks, of what, and in which order: the checks themselves are stood in for, each by its own answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgepack.bundle.verdict import Check
from edgepack.errors import InputError, MissingDependency
from edgepack.evidence import gate as gate_module
from edgepack.evidence.against import Against
from edgepack.evidence.gate import (
    answered,
    check_bundle_folder,
    find_key,
    gate,
    judge,
    questions,
    student_check,
)
from edgepack.evidence.outcome import BundleResult, GateResult
from edgepack.evidence.policy import JUDGED, Policy, Waiver
from edgepack.target import load_target
from edgepack.task.examples import Columns

TARGET = load_target("android-onnx")
MANIFEST: Any = SimpleNamespace(target="android-onnx")
BUNDLE: Any = SimpleNamespace(folder=Path("b"), manifest=MANIFEST, target=TARGET, verdict="the verdict")
RECORDED = ("retention", "parity", "finite")
ALWAYS = ("size", "evidence", "consistency", "tokenizer", "artifact", *RECORDED, "goldens", "batches", "vocabulary")
TODAY = date.today()


def stand_in(monkeypatch: pytest.MonkeyPatch, *names: str, asked: list[Any], many: bool = False) -> None:
    """Each function of the gate's module keeps what it was asked with, and passes."""

    def answer(name: str) -> Callable[..., Any]:
        def check(*args: Any) -> Any:
            asked.append((name, *args))
            found = Check(name=name, status="passed")
            return [found] if name.endswith("_checks") else found

        return check

    for name in names:
        monkeypatch.setattr(gate_module, name, answer(name))


def test_each_question_is_asked_of_its_own_check(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    named = (
        "size_check", "evidence_check", "consistency_check", "tokenizer_check", "artifact_check", "device_checks",
        "goldens_check", "batches_check", "vocabulary_check", "student_check", "metric_check", "baseline_check",
        "targets_check",
    )  # fmt: skip
    stand_in(monkeypatch, *named, asked=asked)
    reports: list[Any] = []
    monkeypatch.setattr(gate_module, "reports_of", lambda *of: reports.append(of) or ("the report",))

    def recorded(read: Callable[[], Any], *of: Any) -> Iterator[Any]:
        asked.append(("verdict_questions", read(), *of))
        yield "retention", lambda: [Check(name="retention", status="passed")]

    monkeypatch.setattr(gate_module, "verdict_questions", recorded)
    given: Any = "the data"
    against = Against(given, Path("old"), ("a report",), Path("student"), ("ios-onnx",))  # type: ignore[arg-type]
    policy = Policy(require_targets=["ios-onnx"])
    answers = {name: ask() for name, ask in questions(BUNDLE, policy, against)}
    wanted = (*ALWAYS[:6], "device", *ALWAYS[8:], "student", "metric", "baseline", "targets")
    assert tuple(answers) == wanted
    assert asked == [
        ("size_check", MANIFEST, policy),
        ("evidence_check", BUNDLE),
        ("consistency_check", BUNDLE),
        ("tokenizer_check", BUNDLE),
        ("artifact_check", BUNDLE),
        ("verdict_questions", "the verdict", MANIFEST, policy, ("the report",)),
        ("device_checks", BUNDLE, ("the report",)),
        ("goldens_check", BUNDLE),
        ("batches_check", BUNDLE),
        ("vocabulary_check", BUNDLE),
        ("student_check", BUNDLE, Path("student")),
        ("metric_check", BUNDLE, given, policy, Path("old")),
        ("baseline_check", Path("b"), Path("old"), given, policy),
        ("targets_check", ("ios-onnx",)),
    ]
    assert reports == [(MANIFEST, ("a report",))]
    found = [check.name.removesuffix("_checks").removesuffix("_check") for each in answers.values() for check in each]
    assert tuple(found) == wanted


@pytest.mark.parametrize(
    ("against", "policy", "more"),
    [
        (Against(), Policy(), ()),
        (Against(student=Path("s")), Policy(), ("student",)),
        (Against(), Policy(require=["student"]), ("student",)),
        (Against(given="data"), Policy(), ("metric",)),  # type: ignore[arg-type]
        (Against(), Policy(require=["metric"]), ("metric",)),
        (Against(baseline=Path("old")), Policy(), ("baseline",)),
        (Against(missing_targets=("ios-onnx",)), Policy(require_targets=["ios-onnx"]), ("targets",)),
        (Against(), Policy(require=["device", "targets", "baseline"]), ()),
    ],
)
def test_what_is_given_or_required_is_asked(
    monkeypatch: pytest.MonkeyPatch, against: Against, policy: Policy, more: Sequence[str]
) -> None:
    monkeypatch.setattr(gate_module, "reports_of", lambda *_: ())
    assert [name for name, _ in questions(BUNDLE, policy, against)] == [*ALWAYS, *more]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A bundle whose files pass, and that is asked about size and parity; the list keeps what was called."""
    asked: list[Any] = []
    stand_in(monkeypatch, "files_check", "signature_check", asked=asked)

    def ask(*args: Any) -> Any:
        asked.append(("questions", *args))
        yield "size", lambda: [Check(name="size", status="failed", reason="too large")]
        yield "parity", lambda: [Check(name="parity", status="passed"), Check(name="finite", status="passed")]

    monkeypatch.setattr(gate_module, "questions", ask)
    monkeypatch.setattr(gate_module, "load_manifest", lambda folder: asked.append(("manifest", folder)) or MANIFEST)
    return asked


def test_files_are_judged_first_then_what_is_asked(judged: list[Any]) -> None:
    policy, against = Policy(waive=["size"]), Against()
    result = judge(Path("b"), policy, against, None)
    assert judged[:2] == [("manifest", Path("b")), ("files_check", Path("b"), MANIFEST, TARGET)]
    (name, opened, *rest) = judged[2]
    assert (name, opened.folder, opened.manifest, opened.target) == ("questions", Path("b"), MANIFEST, TARGET)
    assert rest == [policy, against]
    assert len(judged) == 3
    assert result.folder == Path("b")
    assert [(c.name, c.status) for c in result.checks] == [
        ("files_check", "passed"), ("size", "failed"), ("parity", "passed"), ("finite", "passed"),
    ]  # fmt: skip
    assert result.waived == {"size"}
    assert set(result.seconds) == {"files_check", "size", "parity", "finite"}


def test_where_files_are_not_as_recorded_nothing_else_is_run(
    judged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        gate_module, "files_check", lambda *_: Check(name="files", status="failed", reason="a is missing")
    )
    result = judge(Path("b"), Policy(require=["metric"]), Against(), None)
    assert result.checks == (
        Check(name="files", status="failed", reason="a is missing"),
        *(Check(name=n, status="not_run", reason="the files are not as recorded") for n in JUDGED[1:]),
    )
    assert judged == [("manifest", Path("b"))]


def test_a_manifest_that_does_not_read_is_a_failed_check_of_the_files(
    judged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "load_manifest", lambda _: SimpleNamespace(target="toaster"))
    first, *rest = judge(Path("b"), Policy(), Against(), None).checks
    assert (first.name, first.status) == ("files", "failed")
    assert first.reason.startswith("unknown target 'toaster'; known: ")
    assert len(rest) == len(JUDGED) - 1


def test_a_required_check_that_nothing_ran_was_not_run(judged: list[Any]) -> None:
    result = judge(Path("b"), Policy(require=["size", "device", "signature"]), Against(), None)
    assert [c for c in result.checks if c.status == "not_run"] == [
        Check(name="device", status="not_run", reason="required by the policy; nothing ran it")
    ]
    assert [c.name for c in result.checks] == ["files_check", "size", "parity", "finite", "device", "signature_check"]


@pytest.mark.parametrize(
    ("key", "policy"),
    [
        (Path("key.pem"), Policy()),
        (None, Policy(require_signature=True)),
        (None, Policy(require=["signature"])),
        (Path("key.pem"), Policy(require_signature=True, require=["signature"])),
    ],
)
@pytest.mark.parametrize("files", ["passed", "failed"])
def test_a_signature_is_asked_about_whatever_the_files_are(
    judged: list[Any], monkeypatch: pytest.MonkeyPatch, key: Path | None, policy: Policy, files: Any
) -> None:
    monkeypatch.setattr(gate_module, "files_check", lambda *_: Check(name="files", status=files))
    result = judge(Path("b"), policy, Against(), key)
    assert judged[-1] == ("signature_check", Path("b"), key)
    assert result.checks[-1] == Check(name="signature_check", status="passed")


def test_a_signature_that_stumbles_is_a_failed_check_of_its_name(
    judged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> None:
        raise KeyError("x")

    monkeypatch.setattr(gate_module, "signature_check", stumble)
    last = judge(Path("b"), Policy(), Against(), Path("key.pem")).checks[-1]
    assert last == Check(name="signature", status="failed", reason="the bundle is damaged: KeyError: 'x'")


def test_waivers_are_those_of_today(judged: list[Any]) -> None:
    for until, waived in ((TODAY, {"size"}), (TODAY - timedelta(days=1), set())):
        policy = Policy(waiver=[Waiver(check="size", reason="few", until=until)])
        result = judge(Path("b"), policy, Against(), None)
        assert result.waived == waived
        said = f"waived until {until}: few" if waived else f"its waiver ended on {until}"
        assert result.checks[1].reason == f"too large ({said})"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (MissingDependency("run: pip install x"), "not_run", "run: pip install x"),
        (InputError("f is\ndamaged\x1b"), "failed", r"f is\ndamaged\x1b"),
        (RecursionError(), "failed", "the bundle is damaged: RecursionError: no reason given"),
        (ValueError("a\nb"), "failed", "the bundle is damaged: ValueError: a"),
        (AssertionError("a"), "failed", "the bundle is damaged: AssertionError: a"),
    ],
)
def test_what_a_question_stumbles_over_is_said_in_one_line(error: Exception, status: Any, reason: str) -> None:
    def stumble() -> list[Check]:
        raise error

    assert answered("tokenizer", stumble, {}) == [Check(name="tokenizer", status=status, reason=reason)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_process_ends_the_gate(error: type[BaseException]) -> None:
    def stop() -> list[Check]:
        raise error

    with pytest.raises(error):
        answered("files", stop, {})


def test_the_time_of_a_question_is_shared_by_its_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 106.0, 106.0])
    monkeypatch.setattr(gate_module.time, "perf_counter", lambda: next(clock))
    seconds = {"size": 1.0}
    checks = [Check(name="parity", status="passed", reason="a\tb"), Check(name="finite", status="failed", value=3)]
    assert answered("verdict", lambda: checks, seconds) == [
        checks[0].model_copy(update={"reason": r"a\tb"}), checks[1],
    ]  # fmt: skip
    assert seconds == {"size": 1.0, "parity": 3.0, "finite": 3.0}


def test_a_student_is_compared_by_what_needs_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert student_check(BUNDLE, None) == Check(
        name="student", status="not_run", reason="no student was given; pass --student"
    )
    imported = import_recorder(monkeypatch)
    found = student_check(BUNDLE, Path("student"))
    assert found == Check(name="student", status="passed", reason=repr((BUNDLE, Path("student"))))
    assert imported == [("edgepack.evidence.student_parity", "gate --student")]


def import_recorder(monkeypatch: pytest.MonkeyPatch, checked: list[Any] | None = None) -> list[Any]:
    """What the gate imports by name; the module that it gets answers with what it was asked."""
    imported: list[Any] = []
    module = SimpleNamespace(
        student_check=lambda *of: Check(name="student", status="passed", reason=repr(of)),
        check_student_folder=(checked if checked is not None else []).append,
    )
    monkeypatch.setattr(gate_module, "import_package", lambda *what: imported.append(what) or module)
    return imported


def test_the_key_is_the_one_given_or_else_the_policys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(gate_module, "read_public_key", read.append)
    policy, rules = tmp_path / "gate.toml", Policy(public_key="keys/release.pem")
    assert find_key(None, policy, rules) == tmp_path / "keys" / "release.pem"
    assert find_key(Path("other.pem"), policy, rules) == Path("other.pem")
    assert find_key(Path("other.pem"), None, Policy()) == Path("other.pem")
    assert read == [tmp_path / "keys" / "release.pem", Path("other.pem"), Path("other.pem")]
    assert find_key(None, policy, Policy()) is None
    assert find_key(None, None, Policy()) is None
    assert len(read) == 3


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is no bundle: it has no edgepack"):
        check_bundle_folder(tmp_path)
    (tmp_path / "edgepack.json").write_text('{"artifacts": []}')
    with pytest.raises(InputError, match="is the output of a build, not a bundle"):
        check_bundle_folder(tmp_path)
    (tmp_path / "edgepack.json").write_text("{}")
    check_bundle_folder(tmp_path)

    def locked(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", locked)
    with pytest.raises(InputError) as error:
        check_bundle_folder(tmp_path)
    assert str(error.value) == f"{tmp_path} does not read: Permission denied; give a folder that you may read"


class Said:
    """A console that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        self.lines.append(f"working: {what}")
        yield


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The gate with all around `judge` stood in for; what was asked of these."""
    asked: list[Any] = []

    def keeps(name: str, answer: Any) -> Callable[..., Any]:
        return lambda *args: asked.append((name, *args)) or answer

    for name, answer in (
        ("check_bundle_folder", None), ("read_policy", Policy(require_targets=["ios-onnx"])), ("find_key", Path("key")),
        ("given_data", "the data"), ("read_device_report", "a report"), ("missing_targets", ("ios-onnx",)),
        ("refuse_unused", None),
    ):  # fmt: skip
        monkeypatch.setattr(gate_module, name, keeps(name, answer))

    def judge(folder: Path, policy: Policy, against: Against, key: Any) -> BundleResult:
        asked.append(("judge", folder, policy, vars(against), key))
        return BundleResult(folder, (Check(name="size", status="passed"),), frozenset())

    monkeypatch.setattr(gate_module, "judge", judge)
    return asked


def test_every_bundle_is_judged_against_all_that_was_given(
    gated: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Any] = []
    imported = import_recorder(monkeypatch, checked)
    bundles, columns, console = [Path("a"), Path("b")], Columns(text="t"), Said()
    written = {"junit": tmp_path / "junit.xml", "markdown": tmp_path / "gate.md"}
    result = gate(
        bundles, Path("gate.toml"), evaluation="eval.tsv", columns=columns, teacher="t", baseline=Path("old"),
        device_reports=[Path("1"), Path("2")], student=Path("s"), public_key=Path("k"), console=console, **written,
    )  # type: ignore[arg-type]  # fmt: skip
    rules = Policy(require_targets=["ios-onnx"])
    against = {
        "given": "the data", "baseline": Path("old"), "reports": ("a report", "a report"), "student": Path("s"),
        "missing_targets": ("ios-onnx",),
    }  # fmt: skip
    assert gated == [
        ("read_policy", Path("gate.toml")),
        ("check_bundle_folder", Path("a")),
        ("check_bundle_folder", Path("b")),
        ("find_key", Path("k"), Path("gate.toml"), rules),
        ("given_data", "eval.tsv", columns, "t", console),
        ("read_device_report", Path("1")),
        ("read_device_report", Path("2")),
        ("missing_targets", ["ios-onnx"], bundles),
        ("refuse_unused", ("a report", "a report"), bundles),
        ("judge", Path("a"), rules, against, Path("key")),
        ("judge", Path("b"), rules, against, Path("key")),
    ]
    assert (imported, checked) == ([("edgepack.evidence.student_parity", "gate --student")], [Path("s")])
    assert console.lines == ["checking a", "working: gate a", "checking b", "working: gate b"]
    wanted = [BundleResult(folder, (Check(name="size", status="passed"),), frozenset()) for folder in bundles]
    assert result == GateResult(tuple(wanted))
    assert written["junit"].read_bytes() == gate_module.junit_xml(result)
    assert written["markdown"].read_text() == gate_module.markdown_text(result)


def test_with_nothing_given_a_bundle_is_held_against_itself(gated: list[Any], tmp_path: Path) -> None:
    assert gate([tmp_path]).passed
    assert gated[-1] == (
        "judge",
        tmp_path,
        Policy(),
        vars(Against("the data", missing_targets=("ios-onnx",))),
        Path("key"),
    )  # type: ignore[arg-type]
    assert ("given_data", None, Columns(), None, None) in gated
    assert ("find_key", None, None, Policy()) in gated
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError) as error:
        gate([])
    assert str(error.value) == "no bundle given; name at least one folder that holds an edgepack.json"
