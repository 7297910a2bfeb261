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
from pathlib import Path, PurePosixPath

from edgepack.bundle.goldens import check_goldens, golden_check, load_tokenizer, summarize
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
from edgepack.bundle.verdict import MAX_DROP, VERDICT_NAME, Check, Verdict, limit_check
from edgepack.console import Console
from edgepack.errors import EdgepackError, InputError, MissingDependency, NotRunHere
from edgepack.evidence.junit import junit_xml
from edgepack.evidence.markdown import markdown as markdown_text
from edgepack.evidence.outcome import BundleResult, GateResult
from edgepack.evidence.policy import JUDGED, Policy, read_policy
from edgepack.runtime import load
from edgepack.runtime.predict import predict_session
from edgepack.target import load_target
from edgepack.task.examples import read_dataset
from edgepack.task.metric import Task
from edgepack.task.tokenize import encode
from edgepack.workspace import sha256_file, write_output

METRIC_SLACK = 0.005  # re-measured on another CPU, whose int8 kernels round differently


def gate(
    bundles: Sequence[Path],
    policy: Path | None = None,
    *,
    evaluation: str | None = None,
    junit: Path | None = None,
    markdown: Path | None = None,
    public_key: Path | None = None,
    console: Console | None = None,
) -> GateResult:
    """Check bundles again under a policy; write JUnit XML and Markdown if asked."""
    if not bundles:
        raise InputError("no bundle given; name at least one folder that holds an edgepack.json")
    rules = read_policy(policy) if policy else Policy()
    for folder in bundles:
        if not (folder / MANIFEST_NAME).is_file():
            raise InputError(f"{folder} is no bundle: it has no {MANIFEST_NAME}; give a folder under OUT/bundles")
        refuse_build(folder)
    key = find_key(public_key, policy, rules)
    results = []
    for folder in bundles:
        if console:
            console.info(f"checking {folder}")
        checks = bundle_checks(folder, rules, evaluation)
        if key is not None or rules.require_signature:
            checks.append(signature_check(folder, key))
        results.append(BundleResult(folder, tuple(checks), frozenset(rules.waive)))
    result = GateResult(tuple(results))
    for path, data in ((junit, junit_xml(result)), (markdown, markdown_text(result).encode())):
        if path is not None:
            write_output(path, data)
    return result


def find_key(given: Path | None, policy: Path | None, rules: Policy) -> Path | None:
    """The public key: the one given, else the policy's; `InputError` where it is none."""
    key = policy.parent / rules.public_key if given is None and policy and rules.public_key else given
    if key is not None:
        read_public_key(key)
    return key


def bundle_checks(folder: Path, policy: Policy, evaluation: str | None) -> list[Check]:
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
        ("verdict", lambda: verdict_checks(read_model(folder / VERDICT_NAME, Verdict), policy)),
        ("goldens", lambda: [golden_check(check_goldens(folder, load_target(manifest.target), manifest.max_length))]),
    ]
    if evaluation is not None or "metric" in policy.require:
        questions.append(("metric", lambda: [metric_check(folder, manifest, evaluation, policy)]))
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


def verdict_checks(verdict: Verdict, policy: Policy) -> list[Check]:
    """What the validation found, under the policy's limits, which replace the verdict's own."""
    checks = [verdict.check(name) for name in ("retention", "parity", "finite")]
    if policy.max_drop is not None and verdict.retention is not None:
        checks[0] = limit_check("retention", verdict.retention.value, 1 - policy.max_drop, False, "retention")
    if policy.min_agreement is not None:
        name, value = "agreement", verdict.agreement
        missing = Check(name=name, status="not_run", reason="the verdict holds no agreement with the teacher")
        what = "agreement with the teacher"
        checks.append(missing if value is None else limit_check(name, value, policy.min_agreement, False, what))
    if policy.max_p50_ms is not None:
        speed = verdict.speed.get("artifact")
        p50 = speed.p50_ms.get(policy.latency_tokens) if speed else None
        what = f"p50 milliseconds at {policy.latency_tokens} tokens"
        missing = Check(name="latency", status="not_run", reason=f"the verdict holds no {what}")
        checks.append(missing if p50 is None else limit_check("latency", p50, policy.max_p50_ms, True, what))
    return checks


def metric_check(folder: Path, manifest: BundleManifest, evaluation: str | None, policy: Policy) -> Check:
    """Measure the metric again: it must be the recorded one, or on other data hold the policy's drop."""
    if evaluation is None:
        return Check(name="metric", status="not_run", reason="no evaluation data was given; pass --eval")
    task = Task(manifest.task, tuple(manifest.labels), manifest.pair)
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    encoded = encode(read_dataset(evaluation, task), task, tokenizer, manifest.max_length)
    target = load_target(manifest.target)
    logits = predict_session(load(folder / target.file, target, threads=1), encoded)
    value = task.score(logits, encoded)
    recorded, teacher = manifest.metrics.get("artifact"), manifest.metrics.get("teacher")
    if recorded is not None and recorded.n == len(encoded):
        what = f"{task.metric_name} measured again ({recorded.value:.4f} recorded)"
        return limit_check("metric", value, recorded.value - METRIC_SLACK, False, what)
    if teacher is None:
        return Check(name="metric", status="not_run", value=value, reason="the manifest holds no teacher metric")
    limit = teacher.value * (1 - (MAX_DROP if policy.max_drop is None else policy.max_drop))
    return limit_check("metric", value, limit, False, f"{task.metric_name} on {len(encoded)} other examples")
