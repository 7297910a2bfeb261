"""The gate: re-check a bundle's evidence, apply a policy, pass or fail.

Nothing in a bundle is believed that can be tried: hashes and sizes are taken again, goldens are run again in
the runtime, and with an evaluation set the metric is measured again. What cannot be tried here (the teacher,
parity) is read from the verdict and compared with the policy's limits. A check that was not run fails, like one that
failed, unless the policy waives it by name.

The gate proves that a bundle is what it says. Who made it is shown by a signature alone (`bundle/signature.py`):
whoever can write the bundle can write a manifest to match. A damaged bundle is a failed check; a folder without a
manifest is misuse (`InputError`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

from edgepack.bundle.goldens import check_goldens, golden_check, summarize
from edgepack.bundle.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    is_model_file,
    load_manifest,
    read_model,
    refuse_build,
)
from edgepack.bundle.signature import SIGNATURE_NAME, signature_check
from edgepack.bundle.signature import public_key as read_public_key
from edgepack.bundle.verdict import VERDICT_NAME, Check, Verdict, limit_check
from edgepack.console import Console
from edgepack.errors import EdgepackError, InputError, MissingDependency, NotRunHere, shown
from edgepack.evidence.compare import baseline_check
from edgepack.evidence.device import DeviceReport, artifact_sha256, read_device_report, report_of
from edgepack.evidence.junit import junit_xml
from edgepack.evidence.markdown import markdown as markdown_text
from edgepack.evidence.metric_check import Given, given_data, metric_check
from edgepack.evidence.outcome import BundleResult, GateResult
from edgepack.evidence.policy import JUDGED, Policy, read_policy
from edgepack.evidence.verdict_checks import verdict_checks
from edgepack.target import load_target
from edgepack.task.examples import Columns
from edgepack.workspace import sha256_file, write_output


def gate(
    bundles: Sequence[Path],
    policy: Path | None = None,
    *,
    evaluation: str | None = None,
    columns: Columns | None = None,
    teacher: str | None = None,
    baseline: Path | None = None,
    device_reports: Sequence[Path] = (),
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
        if not (folder / MANIFEST_NAME).is_file():
            raise InputError(f"{folder} is no bundle: it has no {MANIFEST_NAME}; give a folder under OUT/bundles")
        refuse_build(folder)
    key = find_key(public_key, policy, rules)
    against = Against(
        given_data(evaluation, columns or Columns(), teacher, console),
        baseline,
        tuple(read_device_report(path) for path in device_reports),
    )
    refuse_unused(against.reports, bundles)
    today, results = date.today(), []
    for folder in bundles:
        if console:
            console.info(f"checking {folder}")
        checks = bundle_checks(folder, rules, against)
        if key is not None or rules.require_signature:
            checks.append(signature_check(folder, key))
        results.append(BundleResult(folder, tuple(with_waivers(checks, rules, today)), frozenset(rules.waived(today))))
    result = GateResult(tuple(results))
    for path, data in ((junit, junit_xml(result)), (markdown, markdown_text(result).encode())):
        if path is not None:
            write_output(path, data)
    return result


@dataclass(frozen=True, eq=False)
class Against:
    """What bundles are held against, other than themselves: data, an earlier bundle, reports from devices."""

    given: Given | None = None
    baseline: Path | None = None
    reports: tuple[DeviceReport, ...] = ()


def refuse_unused(reports: Sequence[DeviceReport], bundles: Sequence[Path]) -> None:
    """`InputError` for a device report of an artifact that none of the bundles holds."""
    known = set()
    for folder in bundles:
        with suppress(EdgepackError):  # a damaged manifest is a failed check
            known.add(artifact_sha256(load_manifest(folder)))
    for report in reports:
        if known and report.artifact_sha256 not in known:
            raise InputError(
                f"the device report of {shown(report.device)} is of artifact {report.artifact_sha256[:12]}…; "
                "none of the bundles holds it: measure the one that is to be released"
            )


def with_waivers(checks: Sequence[Check], policy: Policy, today: date) -> list[Check]:
    """The checks, with what a dated waiver says of those that did not pass, and whether it has ended."""
    said = {**policy.waived(today), **policy.expired(today)}
    return [
        check
        if check.status == "passed" or said.get(check.name, "waived") == "waived"
        else check.model_copy(update={"reason": f"{check.reason} ({said[check.name]})"})
        for check in checks
    ]


def find_key(given: Path | None, policy: Path | None, rules: Policy) -> Path | None:
    """The public key: the one given, else the policy's; `InputError` where it is none."""
    key = policy.parent / rules.public_key if given is None and policy and rules.public_key else given
    if key is not None:
        read_public_key(key)
    return key


def bundle_checks(folder: Path, policy: Policy, against: Against) -> list[Check]:
    """Every check of one bundle, in order; later ones are not run when files are not what they were."""
    try:
        manifest = load_manifest(folder)
    except InputError as e:
        return [Check(name="files", status="failed", reason=str(e))]
    files = files_check(folder, manifest)
    if files.status != "passed":
        skipped = JUDGED[1:]
        return [files, *(Check(name=n, status="not_run", reason="the files are not as recorded") for n in skipped)]
    checks = [files]
    questions: list[tuple[str, Callable[[], list[Check]]]] = [
        ("size", lambda: [size_check(manifest, policy)]),
        (
            "verdict",
            lambda: verdict_checks(
                read_model(folder / VERDICT_NAME, Verdict), manifest, policy, report_of(manifest, against.reports)
            ),
        ),
        ("goldens", lambda: [golden_check(check_goldens(folder, load_target(manifest.target), manifest.max_length))]),
    ]
    if against.given is not None or "metric" in policy.require:
        given, old = against.given, against.baseline
        questions.append(("metric", lambda: [metric_check(folder, manifest, given, policy, old)]))
    if against.baseline is not None:
        before = against.baseline
        questions.append(("baseline", lambda: [baseline_check(folder, before, against.given, policy)]))
    for name, ask in questions:
        try:
            checks += ask()
        except (NotRunHere, MissingDependency) as e:
            checks.append(Check(name=name, status="not_run", reason=str(e)))
        except EdgepackError as e:
            checks.append(Check(name=name, status="failed", reason=str(e)))
    present = {check.name for check in checks}
    absent = [name for name in policy.require if name not in present]
    return checks + [Check(name=n, status="not_run", reason="required by the policy; nothing ran it") for n in absent]


def files_check(folder: Path, manifest: BundleManifest) -> Check:
    """Sizes and hashes of all recorded files; nothing recorded outside the folder, nothing there unrecorded."""
    problems = []
    for record in manifest.files:
        path = folder / record.path
        inside = not PurePosixPath(record.path).is_absolute() and ".." not in PurePosixPath(record.path).parts
        if not inside or path.is_symlink():
            problems.append(f"{record.path}: is not inside the bundle")
        elif not path.is_file():
            problems.append(f"{record.path}: is missing")
        elif path.stat().st_size != record.bytes:
            problems.append(f"{record.path}: has {path.stat().st_size} bytes, {record.bytes} recorded")
        elif sha256_file(path) != record.sha256:
            problems.append(f"{record.path}: its sha256 is not the recorded one")
    recorded = {record.path for record in manifest.files} | {MANIFEST_NAME, SIGNATURE_NAME}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    problems += [f"{name}: is not recorded" for name in sorted(found - recorded)]
    target = load_target(manifest.target)
    if not any(is_model_file(name, target) for name in recorded):
        problems.append(f"{target.file}: is not recorded")
    if VERDICT_NAME not in recorded:
        problems.append(f"{VERDICT_NAME}: is not recorded")
    reason = summarize(problems) or f"{len(manifest.files)} files are as recorded"
    return Check(name="files", status="failed" if problems else "passed", value=len(problems), limit=0, reason=reason)


def size_check(manifest: BundleManifest, policy: Policy) -> Check:
    """Shipped bytes, added up again from the files, against the policy's limit or the budget."""
    shipped = sum(record.bytes for record in manifest.files if record.shipped)
    target = load_target(manifest.target)
    model = [record.shipped for record in manifest.files if is_model_file(record.path, target)]
    if shipped != manifest.shipped_bytes or not model or not all(model):
        said = f"the manifest says {manifest.shipped_bytes}"
        reason = f"shipped files have {shipped} bytes, {said}; {target.file} must ship"
        return Check(name="size", status="failed", value=shipped, limit=manifest.shipped_bytes, reason=reason)
    limit = manifest.budget_bytes if policy.max_bytes is None else policy.max_bytes
    return limit_check("size", shipped, limit, True, "shipped bytes")
