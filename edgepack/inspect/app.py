"""The inspection of a built app: every check that its kind of archive raises, in one order.

    inspect_app(Path("app-release.apk"), gated=[Path("out/bundles/android-onnx")])

Nothing is run, installed or unpacked to disk. A file that is no whole archive of an app is an `InputError`; all that is
wrong with an app that can be read is a failed check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgepack.bundle.manifest import load_manifest
from edgepack.errors import InputError
from edgepack.inspect.android_manifest import INTERNET, check_debuggable, check_permissions, read_android_manifest
from edgepack.inspect.archive import AppArchive, open_archive
from edgepack.inspect.check import Check, not_applicable
from edgepack.inspect.entries import check_entries
from edgepack.inspect.models import check_bundle, check_models, find_bundles, needed_runtimes
from edgepack.inspect.native_libraries import check_alignment, check_segments
from edgepack.inspect.privacy import check_privacy
from edgepack.inspect.runtimes import check_runtimes
from edgepack.inspect.signing import check_signature, profile_allows_debugger
from edgepack.inspect.storage import check_stored


@dataclass(frozen=True)
class Inspection:
    """What was found in one app."""

    path: Path
    kind: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed; warnings do not count."""
        return not any(check.status == "failed" for check in self.checks)

    def to_record(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        checks = [asdict(check) for check in self.checks]
        return {"app": str(self.path), "kind": self.kind, "passed": self.passed, "checks": checks}

    def table(self) -> str:
        """Lines for a person."""
        lines = [f"{'PASSED' if self.passed else 'FAILED'}  {self.path} (.{self.kind})"]
        lines += [f"  {c.name:<17} {c.status.replace('_', ' '):<15} {c.reason}" for c in self.checks]
        return "\n".join(lines)


def inspect_app(
    path: Path, gated: Sequence[Path] = (), on_demand: bool = False, allowed: Sequence[str] = ()
) -> Inspection:
    """Check a built .apk, .aab or .ipa; `gated` are the bundles that may be in it."""
    manifests = [load_manifest(folder) for folder in gated]
    app = open_archive(path)
    if allowed and app.kind == "ipa":
        raise InputError(f"--allow {allowed[0]}: Android permissions, and {path.name} is an iOS app: leave it out")
    bundles = find_bundles(app)
    permissions = frozenset(allowed) | (frozenset({INTERNET}) if on_demand else frozenset())
    checks = (
        check_entries(app),
        check_bundle(bundles, manifests),
        check_models(app, bundles, on_demand),
        check_stored(app),
        check_alignment(app),
        *platform_checks(app, permissions),
        check_runtimes(app, needed_runtimes(bundles)),
        check_privacy(app),
        check_signature(app),
    )
    return Inspection(path, app.kind, checks)


def platform_checks(app: AppArchive, permissions: frozenset[str]) -> tuple[Check, ...]:
    """What is read from Android's manifest and libraries, or from an iOS profile."""
    if app.kind == "ipa":
        return (
            not_applicable("elf-16kb", "iOS has no ELF libraries"),
            not_applicable("permissions", "iOS asks when a feature is used"),
            check_debuggable(profile_allows_debugger(app), "get-task-allow"),
        )
    manifest = read_android_manifest(app)
    return (
        check_segments(app),
        check_permissions(manifest, permissions),
        check_debuggable(manifest.debuggable, "android:debuggable"),
    )
