"""What the projects of all apps have: the options, the bundle's files as assets, and the README.

Assets are the files that the bundle ships and its manifest, `edgepack.json`, which holds their sizes and sha256: an
app compares them, and a file that is not the one the gate saw never reaches the runtime. With a download URL the
model stays out of the app; the app fetches `URL/<path in the manifest>` and compares it in the same way.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from edgepack.bundle.growth import Growth, growth
from edgepack.bundle.manifest import MANIFEST_NAME, BundleManifest, FileRecord, is_model_file, read_model
from edgepack.bundle.model_card import predict_command
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.errors import CheckFailed, InputError, shown
from edgepack.parameters import format_size
from edgepack.target import SYSTEM_RUNTIMES, load_target
from edgepack.workspace import sha256_file, write_atomic

DEFAULT_NAME, DEFAULT_APPLICATION_ID = "edgepack sample", "dev.edgepack.sample"
LONGEST_NAME = 50
APPLICATION_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)+")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "10.0.2.2")  # the last is the host as an Android emulator sees it
VECTOR_FORMS = ("float32", "int8", "binary")  # how apps keep vectors
DEFAULT_VERSION_NAME, DEFAULT_VERSION_CODE = "1.0", 1
SERVED = "model"  # folder of a model that is downloaded: for the server, and on Android for the runtime's tests
MOST_EXAMPLES = 5  # on buttons under a text
LARGEST_VERSION_CODE = 2_100_000_000  # Google Play's


@dataclass(frozen=True)
class AppOptions:
    """What the user chooses: the app's name as people see it, its reverse-DNS id, where the model is fetched.

    `vectors`: how those of searched texts are kept, one of `VECTOR_FORMS`. `version_name` is the version that people
    see, `version_code` the number by which a store tells a newer one, `icon` a PNG file; of phones' apps alone.
    `examples`: how many of the bundle's own texts the web app shows. `fallback`: further bundles for the iOS app, each
    for older systems than the one before.
    """

    name: str = DEFAULT_NAME
    application_id: str = DEFAULT_APPLICATION_ID
    download_url: str | None = None
    vectors: str = VECTOR_FORMS[0]
    version_name: str = DEFAULT_VERSION_NAME
    version_code: int = DEFAULT_VERSION_CODE
    icon: Path | None = None
    examples: int = 0
    fallback: tuple[Path, ...] = ()


@dataclass(frozen=True)
class PlacedBundle:
    """A bundle of an app, and where it stands below the app's assets: `place` is empty for the first, or only, one."""

    folder: Path
    manifest: BundleManifest
    place: str = ""

    @property
    def runtime(self) -> str:
        """As the manifest has it."""
        return self.manifest.runtime.name

    @property
    def links(self) -> bool:
        """Whether an app links a library for it, and does not find it in the system."""
        return self.runtime not in SYSTEM_RUNTIMES


def check_options(options: AppOptions) -> None:
    """Refuse what no kind of app can have; an app's own module refuses the rest."""
    if not 0 < len(options.name.strip()) <= LONGEST_NAME or not options.name.isprintable():
        raise InputError(f"name is {options.name!r}; allowed: 1 to {LONGEST_NAME} printable characters")
    if not APPLICATION_ID.fullmatch(options.application_id):
        raise InputError(f"application id is {options.application_id!r}; give a reverse-DNS name as com.example.app")
    if options.vectors not in VECTOR_FORMS:
        raise InputError(f"vectors is {shown(options.vectors)}; allowed: {', '.join(VECTOR_FORMS)}")
    if type(options.examples) is not int or not 0 <= options.examples <= MOST_EXAMPLES:
        raise InputError(f"examples is {shown(options.examples)}; allowed: whole numbers from 0 to {MOST_EXAMPLES}")
    code = options.version_code
    if type(code) is not int or not 1 <= code <= LARGEST_VERSION_CODE:  # True is an int too
        raise InputError(
            f"version code is {shown(code)}; allowed: whole numbers from 1 to {LARGEST_VERSION_CODE}; give one "
            "more than the last release's"
        )
    if options.download_url is None:
        return
    url = urlsplit(options.download_url)
    secure = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOCAL_HOSTS)
    plain = not re.search(r"[\s\"'<>\\;,]", options.download_url) and options.download_url.isascii()
    if not (secure and url.hostname and plain) or url.query or url.fragment or url.username:
        raise InputError(
            f"download URL is {options.download_url!r}; give a folder as https://example.com/models/1 "
            f"(http:// for {', '.join(LOCAL_HOSTS)} only)"
        )


def shipped_records(manifest: BundleManifest) -> list[FileRecord]:
    """The files that count as shipped."""
    return [record for record in manifest.files if record.shipped]


def model_path(manifest: BundleManifest) -> str:
    """Where the model file is in the bundle."""
    return load_target(manifest.target).file


def asset_records(manifest: BundleManifest, options: AppOptions) -> list[FileRecord]:
    """The shipped files that go into the app: all, or all but the model where that is downloaded."""
    target = load_target(manifest.target)
    inside = options.download_url is None
    return [record for record in shipped_records(manifest) if inside or not is_model_file(record.path, target)]


def app_growth(bundles: Sequence[PlacedBundle], options: AppOptions, device: str) -> Growth:
    """What an app for `device` grows by: its own files, and the runtime that it links."""
    first = bundles[0]
    inside = sum(record.bytes for each in bundles for record in asset_records(each.manifest, options))
    what = "model and tokenizer" if len(bundles) == 1 else f"{len(bundles)} models and their tokenizers"
    if options.download_url is not None:
        what = f"tokenizer (the model, {format_size(first.manifest.shipped_bytes - inside)}, is fetched)"
    linked = next((each.runtime for each in bundles if each.links), first.runtime)
    return growth(device, linked, inside, what)


def check_file(folder: Path, record: FileRecord) -> None:
    """`CheckFailed` where a file under `folder` is not the manifest's."""
    relative = PurePosixPath(record.path)
    if relative.is_absolute() or ".." in relative.parts:
        raise CheckFailed(f"bundle {folder}: its manifest names {record.path}, outside the bundle; do not ship it")
    path = folder / relative
    if not path.is_file():
        raise CheckFailed(f"bundle {folder}: {record.path} is missing; run `edgepack gate` on it")
    if path.stat().st_size != record.bytes or sha256_file(path) != record.sha256:
        raise CheckFailed(f"bundle {folder}: {record.path} is not the manifest's file; run `edgepack gate` on it")


def copy_assets(bundle: Path, manifest: BundleManifest, options: AppOptions, assets: Path) -> None:
    """Copy the app's shipped files and the manifest into `assets`, with their paths, and compare the copies."""
    for record in asset_records(manifest, options):
        copy_file(bundle, record, assets)
    assets.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(bundle / MANIFEST_NAME, assets / MANIFEST_NAME)


def copy_served(bundle: Path, manifest: BundleManifest, options: AppOptions, project: Path) -> None:
    """Where the model is downloaded, put what the server gets into `SERVED`: nothing of it gets into the app."""
    if options.download_url:
        copy_assets(bundle, manifest, replace(options, download_url=None), project / SERVED)


def copy_file(bundle: Path, record: FileRecord, folder: Path, name: str | None = None) -> None:
    """Copy one file of the bundle under `folder`, with its path or as `name`, and compare the copy."""
    copied = record if name is None else record.model_copy(update={"path": name})
    copy = folder / copied.path
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(bundle / record.path, copy)
    check_file(folder, copied)


def outputs(manifest: BundleManifest) -> str:
    """What a text becomes, in words."""
    return f"vectors of {manifest.vector.size} numbers" if manifest.vector else f"{len(manifest.labels)} labels"


def write_readme(
    bundles: Sequence[PlacedBundle],
    options: AppOptions,
    folder: Path,
    *,
    device: str,
    kind: str,
    assets: str,
    steps: str,
    verified: Sequence[str],
    not_verified: Sequence[str],
) -> None:
    """Write `folder`/README.md: what is in the project, how to build and run it (`steps`), what was seen to work.

    `device`: as targets call it; `assets`: the folder of the model's files in the project.
    """
    first, *further = bundles
    manifest = first.manifest
    lines = [
        f"# {options.name}",
        "",
        f"{kind}, packaged by edgepack {manifest.edgepack_version} from a bundle for `{manifest.target}`: "
        f"{manifest.task}, {outputs(manifest)}, at most {manifest.max_length} tokens, "
        f"{manifest.shipped_bytes:,} bytes shipped. Application id: `{options.application_id}`.",
        "",
        "## Build and run",
        "",
        steps.strip(),
        "",
        *download_lines(manifest, options, folder),
        *ask_lines(manifest, options, assets),
        *file_lines(bundles),
        *growth_lines(bundles, options, device),
        "## Verified",
        "",
        "- Packaging compared every file of the bundle with its manifest's size and sha256.",
        f"- {verdict_line(first.folder)}",
        *(f"- For `{each.manifest.target}`: {verdict_line(each.folder)}" for each in further),
        *(f"- {line}" for line in verified),
        "",
        "## Not verified",
        "",
        *(f"- {line}" for line in not_verified),
        "",
    ]
    write_atomic(folder / "README.md", "\n".join(lines).encode())


def file_lines(bundles: Sequence[PlacedBundle]) -> list[str]:
    """The shipped files of all bundles in the app."""
    records = [(PurePosixPath(each.place), record) for each in bundles for record in shipped_records(each.manifest)]
    rows = [f"| `{place / record.path}` | {record.bytes:,} | `{record.sha256}` |" for place, record in records]
    return ["## The model's files", "", "| file | bytes | sha256 |", "|---|---|---|", *rows, ""]


def download_lines(manifest: BundleManifest, options: AppOptions, folder: Path) -> list[str]:
    """What to put on the server, where the model is downloaded: out of the project in `folder`, if it is there."""
    if not options.download_url:
        return []
    path = model_path(manifest)
    served = f"`{SERVED}/{path}`" if (folder / SERVED / path).is_file() else f"the bundle's `{path}`"
    return [
        f"The model is not in the app. Serve {served} at `{options.download_url.rstrip('/')}/{path}`; "
        "the app takes it only if size and sha256 are those below.",
        "",
    ]


def growth_lines(bundles: Sequence[PlacedBundle], options: AppOptions, device: str) -> list[str]:
    """What the app grows by."""
    return ["## What the app grows by", "", f"With these files {app_growth(bundles, options, device).describe()}.", ""]


def ask_lines(manifest: BundleManifest, options: AppOptions, assets: str) -> list[str]:
    """How to ask the model on a computer: the files in the app are enough, where the model is among them."""
    place = assets if options.download_url is None else "BUNDLE"
    what = "the app's own files" if options.download_url is None else "BUNDLE, the folder of the bundle,"
    return [
        "## Ask the model here",
        "",
        f"On a computer with edgepack and {manifest.runtime.name}, {what} answer as the app does:",
        "",
        "```bash",
        predict_command(place, manifest.pair),
        "```",
        "",
    ]


def verdict_line(bundle: Path) -> str:
    """The bundle's own verdict, in one line."""
    if not (bundle / VERDICT_NAME).is_file():
        return "The bundle has no verdict: how close the model is to its teacher is not known."
    verdict = read_model(bundle / VERDICT_NAME, Verdict)
    failed = [f"{check.name} {check.status.replace('_', ' ')}" for check in verdict.checks if check.status != "passed"]
    metric = verdict.metrics.get("artifact")
    figure = f": {metric.name} {metric.value:.4f} on {metric.n} examples" if metric else ""
    if verdict.passed:
        return f"The bundle's verdict passed on the machine that built it{figure}."
    return f"**The bundle's verdict did not pass** ({'; '.join(failed) or 'no check ran'}): do not ship it{figure}."
