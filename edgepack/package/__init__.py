"""From a bundle to an app's project, whole or not at all. What the built app holds belongs to `inspect`.

    package_bundle(bundle, "android", DIR, AppOptions(...))
    package_app(bundle, app="android", output=DIR, ...)  # for Python: the command's options as keywords

Every file of the bundle is compared with the manifest's length and sha256 before anything is written. What an
app cannot do exactly is refused here, not found out on a phone: a runtime that it has no code for, and a tokenizer
older than the bundle needs, and a tokenizer other than `tokenizer.bin`, which is the only one that the apps' cores are
proven on. The project is written beside
DIR and takes its place by a rename; with `force` what was in DIR goes only then.

Each kind of app is a module of its own with `RUNTIMES`, the runtimes that it has code for, and `write_project`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, Unpack, cast

from typing_extensions import TypedDict

from edgepack.bundle.growth import Growth
from edgepack.bundle.manifest import BundleManifest, load_manifest, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.errors import CheckFailed, InputError, bare, shown
from edgepack.machine.extras import one_line_errors
from edgepack.package.pins import check_version
from edgepack.package.project import (
    DEFAULT_APPLICATION_ID,
    DEFAULT_NAME,
    VECTOR_FORMS,
    AppOptions,
    PlacedBundle,
    app_growth,
    check_file,
    check_options,
    shipped_records,
)
from edgepack.parameters import AnyPath, as_list, as_path
from edgepack.parameters import check_options as check_keywords
from edgepack.tokenizer.asset import ASSET_NAME
from edgepack.workspace import written_folder

__all__ = ["APPS", "AppOptions", "Packaged", "package_app", "package_bundle"]

APPS: dict[str, str] = {
    "android": "edgepack.package.android",
    "ios": "edgepack.package.ios",
    "web": "edgepack.package.web",
}


class App(Protocol):
    """What a module of `APPS` has."""

    RUNTIMES: tuple[str, ...]

    def write_project(self, bundles: Sequence[PlacedBundle], options: AppOptions, folder: Path) -> None:
        """Write the project into `folder`, which does not exist yet; the bundles have been checked, each by itself."""
        ...


@dataclass(frozen=True)
class Packaged:
    """A project folder, the files in it, relative, and what the app grows by."""

    folder: Path
    app: str
    files: tuple[str, ...]
    growth: Growth

    def to_record(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        grown = self.growth.to_record()
        return {"app": self.app, "folder": str(self.folder), "files": list(self.files), "growth": grown}


class KindOptions(TypedDict, total=False):
    """What apps of some kinds may be given: the first three of Android and iOS, then of the web app, then of iOS."""

    version_name: str  # as people see it
    version_code: int  # 1 to 2,100,000,000
    icon: AnyPath | None  # a square PNG file
    examples: int  # how many texts of the evaluation data are offered to try, 0 to 5
    fallback: AnyPath | Sequence[AnyPath]  # bundles of the same build, each for older systems


@one_line_errors("package_app")
def package_app(
    bundle: AnyPath,
    *,
    app: Literal["android", "ios", "web"],
    output: AnyPath,
    name: str = DEFAULT_NAME,
    application_id: str = DEFAULT_APPLICATION_ID,
    download_url: str | None = None,
    vectors: str = VECTOR_FORMS[0],
    force: bool = False,
    force_failed: bool = False,
    **options: Unpack[KindOptions],
) -> Packaged:
    """Write an app project with the bundle's model in it, every file compared with the manifest.

    `output` is a new or empty folder, or with `force` one that is replaced. With `download_url` the app fetches the
    model. `vectors` is how those of searched texts are kept: `float32`, `int8` or `binary`. `version_name`,
    `version_code` (1 to 2,100,000,000) and `icon` (a square PNG file) are of Android and iOS apps. `examples`, at
    most 5, is how many of the bundle's own texts the web app shows as examples: they are texts of the evaluation
    data. `fallback` are bundles that the iOS app opens where the system is too old for `bundle`. A bundle whose
    verdict failed is refused with `CheckFailed`, unless `force_failed`.
    """
    given: dict[str, Any] = check_keywords(package_app, KindOptions, options)
    for keyword, value in (("name", name), ("application_id", application_id), ("download_url", download_url or "")):
        if not isinstance(value, str):
            raise InputError(f"package_app: {keyword} is {shown(value)}; give a string")
    if "icon" in given:
        given["icon"] = as_path("icon", given["icon"])
    if "fallback" in given:
        given["fallback"] = tuple(as_path("fallback", each) for each in as_list(given["fallback"]))
    chosen = AppOptions(name, application_id, download_url, vectors, **given)
    return package_bundle(as_path("bundle", bundle), app, as_path("output", output), chosen, force, force_failed)


def package_bundle(
    bundle: Path, app: str, output: Path, options: AppOptions, force: bool = False, force_failed: bool = False
) -> Packaged:
    """Write an `app` project (android, ios, web) of `bundle` into `output`.

    `CheckFailed` if a file is not its own, or if its verdict failed and not `force_failed`.
    """
    if app not in APPS:
        raise InputError(f"app is {app!r}; allowed: {', '.join(APPS)}")
    check_options(options)
    module = cast(App, import_module(APPS[app]))
    bundles = open_bundles(bundle, options)
    for each in bundles:
        check_output(output, each.folder, force)
        check_fits(each.folder, each.manifest, app, module.RUNTIMES)
    if options.vectors != VECTOR_FORMS[0] and bundles[0].manifest.vector is None:
        raise InputError(
            f"vectors is {options.vectors}; bundle {bundle} embeds no texts, so no app of it keeps vectors"
        )
    if options.examples and app != "web":
        raise InputError(f"examples is {options.examples}; the {app} app shows none; leave --examples out")
    if options.fallback and app != "ios":
        raise InputError(f"fallback is {options.fallback[0]}; the {app} app holds one bundle; leave --fallback out")
    for each in bundles:
        for record in each.manifest.files:
            check_file(each.folder, record)
        if not force_failed:
            refuse_failed(each.folder)
    with written_folder(output) as beside:
        module.write_project(bundles, options, beside)
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    return Packaged(output, app, tuple(files), app_growth(bundles, options, app))


def open_bundles(bundle: Path, options: AppOptions) -> tuple[PlacedBundle, ...]:
    """All bundles of the app in the order in which it tries them; further ones have folders named by their runtimes."""
    first = PlacedBundle(bundle, load_manifest(bundle))
    further = [(folder, load_manifest(folder)) for folder in options.fallback]
    return (first, *(PlacedBundle(folder, manifest, manifest.runtime.name) for folder, manifest in further))


def refuse_failed(bundle: Path) -> None:
    """`CheckFailed` where a check of the bundle's verdict failed; one that could not run is said in the README."""
    path = bundle / VERDICT_NAME
    verdict = read_model(path, Verdict) if path.is_file() else None
    stopped = [c for c in verdict.checks if c.status in ("failed", "undecided")] if verdict else []
    if verdict is None or stopped:
        why = f"{stopped[0].name} {stopped[0].status}: {bare(stopped[0].reason, 200)}" if stopped else "there is none"
        raise CheckFailed(
            f"bundle {bundle}: its verdict did not pass ({why}); build one that does, or give --force-failed to try it"
        )


def check_output(output: Path, bundle: Path, force: bool) -> None:
    """Refuse a place whose content would be lost without being asked for, or that must never be."""
    if output.exists() and not output.is_dir():
        raise InputError(f"output {output} is a file; give a new or empty folder")
    place = output.resolve()
    if place in (Path.cwd(), *Path.cwd().parents) or place in (bundle.resolve(), *bundle.resolve().parents):
        raise InputError(f"output {output} holds the current folder or the bundle; give a folder of the app's own")
    if bundle.resolve() in place.parents:
        raise InputError(f"output {output} lies in the bundle {bundle}; give a folder of the app's own")
    if output.is_dir() and any(output.iterdir()) and not force:
        raise InputError(f"output {output} is not empty; give a new folder, or --force to replace it")


def check_fits(bundle: Path, manifest: BundleManifest, app: str, runtimes: tuple[str, ...]) -> None:
    """Refuse what the app cannot run, or cannot tokenize exactly as the reference does."""
    if manifest.runtime.name not in runtimes:
        raise InputError(
            f"bundle {bundle} is for {manifest.runtime.name}; the {app} app runs {', '.join(runtimes)}; "
            "build for a target of one of these (edgepack targets)"
        )
    check_version(manifest, app)
    shipped = [record.path for record in shipped_records(manifest)]
    if ASSET_NAME not in shipped:
        raise CheckFailed(
            f"bundle {bundle} ships {', '.join(shipped)} and no {ASSET_NAME}: its tokenizer is one that the apps are "
            "not proven to reproduce; edgepack plan says why, docs/inputs.md which ones are; build again with "
            "--student-tokenizer and one of these"
        )
