"""The gate: re-check a bundle's evidence, apply a policy, pass or fail.

Nothing in a bundle is believed that can be tried: hashes and sizes are taken again, what manifest, verdict and files
say is compared with each other and with the model file itself, goldens are run again in the runtime, alone and in
padded batches, and with an evaluation set the metric is measured again. What cannot be tried here (the teacher) is
read from the verdict and compared with the policy's limits. A check that was not run fails, like one that
failed, unless the policy waives it by name. The checks stand in files of their own, each named in `questions`.

Whatever a bundle holds, it is that bundle's failed check, and the others are still judged; a folder without a manifest
is misuse (`InputError`). The gate proves that a bundle is what it says. Who made it is shown by a signature alone
(`bundle/signature.py`): whoever can write the bundle can write a manifest to match.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path

from edgepack.bundle.manifest import MANIFEST_NAME, load_manifest, refuse_build, refuse_other_folder
from edgepack.bundle.signature import public_key as read_public_key
from edgepack.bundle.signature import signature_check
from edgepack.bundle.verdict import Check, Status, first_failures
from edgepack.console import Console
from edgepack.errors import EdgepackError, InputError, MissingDependency, NotRunHere, first_line, printable
from edgepack.evidence.against import Against, missing_targets, refuse_unused
from edgepack.evidence.artifact_face import artifact_check
from edgepack.evidence.batches import batches_check, vocabulary_check
from edgepack.evidence.bundle_files import files_check, size_check
from edgepack.evidence.compare import baseline_check
from edgepack.evidence.consistency import consistency_check, evidence_check
from edgepack.evidence.device import DeviceReport, device_check, read_device_report, reports_of
from edgepack.evidence.golden_contents import goldens_check
from edgepack.evidence.junit import junit_xml
from edgepack.evidence.markdown import markdown as markdown_text
from edgepack.evidence.metric_check import given_data, metric_check
from edgepack.evidence.opened import OpenBundle
from edgepack.evidence.outcome import BundleResult, GateResult
from edgepack.evidence.policy import JUDGED, Policy, read_policy, with_waivers
from edgepack.evidence.tokenizer_check import tokenizer_check
from edgepack.evidence.verdict_checks import Question, verdict_questions
from edgepack.machine.extras import import_package
from edgepack.target import load_target
from edgepack.task.examples import Columns
from edgepack.workspace import refuse_inside, write_output

Models = dict[Path | str | None, str]  # folders, each with what it is


def gate(
    bundles: Sequence[Path],
    policy: Path | None = None,
    *,
    evaluation: str | None = None,
    columns: Columns | None = None,
    teacher: str | None = None,
    baseline: Path | None = None,
    device_reports: Sequence[Path] = (),
    student: Path | None = None,
    junit: Path | None = None,
    markdown: Path | None = None,
    public_key: Path | None = None,
    console: Console | None = None,
) -> GateResult:
    """Check bundles again under a policy; write JUnit XML and Markdown if asked.

    `evaluation`: labelled data to measure the metric on; `teacher`, `baseline`: what it is compared with where these
    are other data than the build's. `device_reports`: figures from phones, for the bundles whose artifacts they name.
    """
    if not bundles:
        raise InputError("no bundle given; name at least one folder that holds an edgepack.json")
    rules = read_policy(policy) if policy else Policy()
    for folder in bundles:
        check_bundle_folder(folder)
    key = find_key(public_key, policy, rules)
    models: Models = {teacher: "the teacher", student: "the student"}
    models.update(dict.fromkeys([*bundles, baseline], "the bundle"))
    refuse_results_over((junit, markdown), (policy, evaluation, key, *device_reports), models)
    refuse_itself(baseline, bundles)
    if student is not None:
        import_package("edgepack.evidence.student_parity", "gate --student").check_student_folder(student)
    against = Against(
        given_data(evaluation, columns or Columns(), teacher, console),
        baseline,
        tuple(read_device_report(path) for path in device_reports),
        student,
        missing_targets(rules.require_targets, bundles),
    )
    refuse_unused(against.reports, bundles)
    results, said = [], console or Console(quiet=True)
    for folder in bundles:
        said.info(f"checking {printable(str(folder))}")
        with said.working(f"gate {printable(folder.name)}"):
            results.append(judge(folder, rules, against, key))
    result = GateResult(tuple(results))
    for path, data in (junit, junit_xml(result)), (markdown, markdown_text(result).encode()):
        if path is not None:
            write_output(path, data)
    return result


def refuse_results_over(results: Sequence[Path | None], read: Sequence[Path | str | None], models: Models) -> None:
    """`InputError` where a result would take the place of what is read, of the other result, or lie in a model."""
    taken = {Path(path).resolve() for path in read if path is not None}
    for result in (path for path in results if path is not None):
        place = result.resolve()
        for folder, what in models.items():
            if folder is not None:
                refuse_inside(result, Path(folder), what)
        if place in taken:
            raise InputError(f"{result} is read too, or written twice; give each result a file of its own")
        taken.add(place)


def refuse_itself(baseline: Path | None, bundles: Sequence[Path]) -> None:
    """`InputError` where the earlier bundle is one of those that are judged."""
    if baseline is not None and baseline.resolve() in {folder.resolve() for folder in bundles}:
        raise InputError(f"{baseline} is the bundle itself, which is never worse than itself; give an earlier release")


def find_key(given: Path | None, policy: Path | None, rules: Policy) -> Path | None:
    """The public key: the one given, else the policy's; `InputError` where it is none."""
    key = policy.parent / rules.public_key if given is None and policy and rules.public_key else given
    if key is not None:
        read_public_key(key)
    return key


def check_bundle_folder(folder: Path) -> None:
    """`InputError` where the folder is none of a bundle."""
    try:
        found = (folder / MANIFEST_NAME).is_file()
    except OSError as e:
        raise InputError(f"{folder} does not read: {e.strerror}; give a folder that you may read") from e
    if not found:
        refuse_other_folder(folder)
    refuse_build(folder)


def judge(folder: Path, policy: Policy, against: Against, key: Path | None) -> BundleResult:
    """Every check of one bundle, in order; later ones are not run when files are not what they were."""
    opened: list[OpenBundle] = []
    seconds: dict[str, float] = {}

    def open_files() -> list[Check]:
        manifest = load_manifest(folder)
        target = load_target(manifest.target)
        opened.append(OpenBundle(folder, manifest, target))
        return [files_check(folder, manifest, target)]

    checks = answered("files", open_files, seconds)
    if checks[0].status != "passed":
        checks += [Check(name=n, status="not_run", reason="the files are not as recorded") for n in JUDGED[1:]]
    else:
        for name, ask in questions(opened[0], policy, against):
            checks += answered(name, ask, seconds)
        absent = [name for name in policy.require if name not in {check.name for check in checks}]
        reason = "required by the policy; nothing ran it"
        checks += [Check(name=n, status="not_run", reason=reason) for n in absent if n != "signature"]
    if key is not None or policy.require_signature or "signature" in policy.require:
        checks += answered("signature", lambda: [signature_check(folder, key)], seconds)
    today = date.today()
    return BundleResult(folder, tuple(with_waivers(checks, policy, today)), frozenset(policy.waived(today)), seconds)


def questions(bundle: OpenBundle, policy: Policy, against: Against) -> Iterator[Question]:
    """What is asked of a bundle whose files are as recorded."""
    yield "size", lambda: [size_check(bundle.manifest, policy)]
    yield "evidence", lambda: [evidence_check(bundle)]
    yield "consistency", lambda: [consistency_check(bundle)]
    yield "tokenizer", lambda: [tokenizer_check(bundle)]
    yield "artifact", lambda: [artifact_check(bundle)]
    reports = reports_of(bundle.manifest, against.reports)
    yield from verdict_questions(lambda: bundle.verdict, bundle.manifest, policy, reports)
    if reports:
        yield "device", lambda: device_checks(bundle, reports)
    yield "goldens", lambda: [goldens_check(bundle)]
    yield "batches", lambda: [batches_check(bundle)]
    yield "vocabulary", lambda: [vocabulary_check(bundle)]
    if against.student is not None or "student" in policy.require:
        yield "student", lambda: [student_check(bundle, against.student)]
    given, baseline = against.given, against.baseline
    if given is not None or "metric" in policy.require:
        yield "metric", lambda: [metric_check(bundle, given, policy, baseline)]
    if baseline is not None or policy.max_growth is not None:
        yield "baseline", lambda: [baseline_check(bundle.folder, baseline, given, policy)]
    if policy.require_targets:
        yield "targets", lambda: [targets_check(against.missing_targets)]


def answered(name: str, ask: Callable[[], list[Check]], seconds: dict[str, float]) -> list[Check]:
    """The checks that a question gives; whatever it stumbles over in the bundle is its own failed check."""
    started = time.perf_counter()
    try:
        checks = ask()
    except (NotRunHere, MissingDependency) as e:
        checks = [Check(name=name, status="not_run", reason=str(e))]
    except EdgepackError as e:
        checks = [Check(name=name, status="failed", reason=str(e))]
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as e:  # a panic inside `tokenizers` is no Exception
        reason = f"the bundle is damaged: {type(e).__name__}: {first_line(e) or 'no reason given'}"
        checks = [Check(name=name, status="failed", reason=reason)]
    for check in checks:
        seconds[check.name] = (time.perf_counter() - started) / len(checks)
    return [check.model_copy(update={"reason": printable(check.reason)}) for check in checks]


def device_checks(bundle: OpenBundle, reports: Sequence[DeviceReport]) -> list[Check]:
    """What devices say of the bundle's goldens and of how warm they were; of several the first that did not pass."""
    return first_failures([device_check(report, len(bundle.goldens)) for report in reports])


def targets_check(missing: Sequence[str]) -> Check:
    """Whether every required target has a bundle; said of each bundle that was given."""
    reason = (
        f"no bundle was given for {', '.join(missing)}" if missing else "there is a bundle for each required target"
    )
    status: Status = "failed" if missing else "passed"
    return Check(name="targets", status=status, value=len(missing), limit=0, reason=reason)


def student_check(bundle: OpenBundle, student: Path | None) -> Check:
    """Parity with the torch model that the artifact was exported from, which needs torch."""
    if student is None:
        return Check(name="student", status="not_run", reason="no student was given; pass --student")
    module = import_package("edgepack.evidence.student_parity", "gate --student")
    check: Check = module.student_check(bundle, student)
    return check
