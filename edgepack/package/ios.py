"""The iOS app: an Xcode project over the Swift package EdgepackCore, with the model inside or fetched from a URL.

`sample_apps/ios` is the app. Here its defaults give way to the user's name, bundle identifier and download URL, and the
bundle's files go to `assets/`, which Xcode copies into the app as a folder. The project links ONNX Runtime's Swift
package, which Xcode fetches when it opens the project; a Core ML or Core AI bundle needs none, so the reference is
taken out. Core AI's adapter goes only with bundles for it: no Xcode has compiled it yet, and it would be in the way of
the others. An app may hold several bundles of a build, for newer and older systems (`ios_bundles`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from edgepack.bundle.goldens import GOLDEN_NAME
from edgepack.errors import InputError, shown
from edgepack.package.icon import read_icon
from edgepack.package.ios_bundles import check_bundles, oldest_ios
from edgepack.package.pins import ios_target
from edgepack.package.project import (
    DEFAULT_APPLICATION_ID,
    DEFAULT_NAME,
    DEFAULT_VERSION_CODE,
    DEFAULT_VERSION_NAME,
    VECTOR_FORMS,
    AppOptions,
    PlacedBundle,
    copy_assets,
    copy_file,
    copy_served,
    write_readme,
)
from edgepack.package.template import copy_template
from edgepack.target import SYSTEM_RUNTIMES
from edgepack.workspace import write_atomic

RUNTIMES = ("onnxruntime", *SYSTEM_RUNTIMES)
PROJECT = "Sample.xcodeproj/project.pbxproj"
SETTINGS = "Sample/Settings.swift"
APP = "Sample/SampleApp.swift"
ICON = "Sample/Assets.xcassets/AppIcon.appiconset/icon.png"
ICON_SIZE = 1024  # pixels; the one that Xcode takes for all sizes
VERSION_NAME = re.compile(r"[0-9]+(\.[0-9]+){0,2}")
LONGEST_VERSION_NAME = 18  # characters: Apple's limit of CFBundleShortVersionString
PLACEHOLDER = "assets/PLACEHOLDER.txt"
GOLDENS = "SampleTests"  # of the tests that run on a phone, not of the app
COREAI, COREAI_LINKED = "Sample/Runtimes/CoreAIRuntime.swift", "    runtimes.append(CoreAIRuntime())\n"
# Ids in the project of what is there for ONNX Runtime alone: build file, product, package.
ONNX_RUNTIME_IDS = ("ED6E00000000000000000B03", "ED6E00000000000000000D02", "ED6E00000000000000000D12")
BUNDLE_ID = re.compile(r"[A-Za-z0-9.-]+")

STEPS = """Needs a Mac with {xcode}; the app runs on iOS {oldest} or newer.

1. Open `Sample.xcodeproj`. {packages}
2. {devices}
3. Choose a device and run.
4. For the App Store, replace the icon by one of yours: package again with `--icon`, or drop a picture of 1024 by 1024
   pixels without transparency on `AppIcon` in `Sample/Assets.xcassets`; the store takes no app without one.

The tokenizer's tests need no Mac; `BUNDLE` is the bundle's folder, whose golden vectors they compare with:

```bash
cd EdgepackCore && EDGEPACK_GOLDENS=BUNDLE swift test -c release -Xswiftc -enable-testing
```

What the model takes on a phone, as a device report for the gate, from the installed app (a release build, to be timed):

```bash
xcrun devicectl device copy to --device DEVICE --domain-type appDataContainer \\
  --domain-identifier {application_id} --source BUNDLE/golden.jsonl --destination Documents/golden.jsonl
xcrun devicectl device process launch --device DEVICE --console {application_id} device-report
xcrun devicectl device copy from --device DEVICE --domain-type appDataContainer \\
  --domain-identifier {application_id} --source Documents/device-report.json --destination device-report.json
edgepack gate BUNDLE --device-report device-report.json
```

The target SampleTests measures the same and XCTest's own metrics. It has the golden vectors; its report is
attached to the result, and `attachments/manifest.json` says in which file:

```bash
xcodebuild test -project Sample.xcodeproj -scheme Sample -destination 'platform=iOS,id=DEVICE' \\
  -configuration Release ENABLE_TESTABILITY=YES -allowProvisioningUpdates -resultBundlePath tests.xcresult
xcrun xcresulttool export attachments --path tests.xcresult --output-path attachments
```

Check the exported .ipa before you upload it: `edgepack inspect APP.ipa --bundle BUNDLE{others}{on_demand}`.
"""
SEVERAL = (
    "The app holds several bundles of one build and opens the first that its system runs. A device report is of the "
    "one that it opened: copy that bundle's golden.jsonl, and give that bundle to the gate.",
    "",
    "| in the project | bundle for | from iOS | bytes |",
    "|---|---|---|---|",
)
FETCHES = "Xcode fetches ONNX Runtime's Swift package (needs the network, once)."
FETCHES_NOTHING = "It needs no package from the network: {runtimes} {are} part of iOS."
XCODE = "Xcode 16 or newer, 26 or newer for the App Store"
XCODE_COREAI = "Xcode 27 or newer, whose SDK is the first with Core AI"
DEVICES = (
    "For a device, choose your team under Signing & Capabilities of the targets Sample and SampleTests; a simulator "
    "needs none."
)
DEVICES_COREAI = (
    "Choose your team under Signing & Capabilities of the targets Sample and SampleTests. It takes an iPhone or iPad: "
    "no simulator has Core AI, and the app says so there."
)

DEVICES_COREAI_OR_OLDER = (
    f"{DEVICES} No simulator has Core AI: there the app opens the bundle for older systems, whatever its iOS."
)

VERIFIED = (
    "EdgepackCore was compiled and its tests were run with Swift 6.0.3 on Linux: ids and offsets equal to the Hugging "
    "Face fast tokenizer's on golden vectors and fuzzed strings, of WordPiece and byte-level BPE; manifest, file "
    "checks, download and decisions.",
    "The app's own files and its tests were compiled against EdgepackCore and against declarations of the parts of "
    "SwiftUI, XCTest, ONNX Runtime, Core ML and Core AI that they use.",
    "At each start the app compares the size of model and tokenizer with the manifest; the first time, also their "
    "sha256.",
)
NOT_VERIFIED = (
    "Nothing was built with Xcode, and nothing ran on an iPhone or in a simulator: not the project file, not the "
    "screens, not ONNX Runtime, Core ML or Core AI under them.",
    "Latency and memory on a device were not measured. What measures them ran on Linux; its calls of iOS were "
    "type-checked against declarations of them, or not at all.",
)
VERIFIED_COREAI = (
    "Each Core AI function that the app calls has the identifier that Apple's documentation of iOS 27 gives it "
    "(`AIModel(contentsOf:options:)`, `loadFunction(named:)`, `InferenceFunction.run`, `Outputs.remove`, "
    "`InferenceValue.ndArray`, `NDArray(scalars:shape:)`, `view(as:)`, `withUnsafePointer`, "
    "`SpecializationOptions.cpuOnly`, `expectFrequentReshapes`), so names, types and effects are those of the "
    "documentation.",
)
NOT_VERIFIED_COREAI = (
    "`Sample/Runtimes/CoreAIRuntime.swift` was compiled by Swift 6.0 against declarations, not by Xcode 27 against "
    "Apple's SDK. The documentation's pages of `NDArray.scalarType` and of `MutableViews()`, a default argument, were "
    "not read; both are named on the pages of their types.",
    "The model was not run on a device: not its numbers, not the time that the system takes to prepare it at the first "
    "start, not whether a text of a new length is slower. It runs on the CPU alone, with the hint that lengths change.",
)


def write_project(bundles: Sequence[PlacedBundle], options: AppOptions, folder: Path) -> None:
    """Write the Xcode project."""
    first = bundles[0]
    check_options(options, first.runtime)
    check_bundles(bundles)
    icon = opaque_icon(options.icon) if options.icon else None
    has_coreai = any(each.runtime == "coreai" for each in bundles)
    copy_template("ios", folder, replacements(options, bundles))
    (folder / PLACEHOLDER).unlink()
    if icon:
        write_atomic(folder / ICON, icon)
    if not has_coreai:
        (folder / COREAI).unlink()
    if not any(each.links for each in bundles):
        project = folder / PROJECT
        project.write_text(without_objects(project.read_text(encoding="utf-8"), ONNX_RUNTIME_IDS), encoding="utf-8")
    copy_served(first.folder, first.manifest, options, folder)
    for each in bundles:
        copy_assets(each.folder, each.manifest, options, folder / "assets" / each.place)
        for record in each.manifest.files:
            if record.path == GOLDEN_NAME:
                copy_file(each.folder, record, folder / GOLDENS, goldens_of(each))
    write_readme(
        bundles,
        options,
        folder,
        device="ios",
        kind="An iOS app",
        assets="assets",
        steps=steps_of(bundles, options),
        verified=VERIFIED + (VERIFIED_COREAI if has_coreai else ()),
        not_verified=NOT_VERIFIED + (NOT_VERIFIED_COREAI if has_coreai else ()),
    )


def goldens_of(bundle: PlacedBundle) -> str:
    """The name of its golden vectors among the tests: a fallback's have the runtime in theirs."""
    return f"golden-{bundle.place}.jsonl" if bundle.place else GOLDEN_NAME


def steps_of(bundles: Sequence[PlacedBundle], options: AppOptions) -> str:
    """How to build and run the app, for its README."""
    first, last = bundles[0], bundles[-1]
    is_coreai, system = first.runtime == "coreai", [SYSTEM_RUNTIMES[each.runtime] for each in bundles if not each.links]
    fetches_nothing = FETCHES_NOTHING.format(runtimes=" and ".join(system), are="is" if len(system) == 1 else "are")
    steps = STEPS.format(
        packages=FETCHES if any(each.links for each in bundles) else fetches_nothing,
        xcode=XCODE_COREAI if is_coreai else XCODE,
        devices=(DEVICES_COREAI if len(bundles) == 1 else DEVICES_COREAI_OR_OLDER) if is_coreai else DEVICES,
        on_demand=" --on-demand" if options.download_url else "",
        others="".join(f" --bundle BUNDLE{place}" for place in range(2, len(bundles) + 1)),
        oldest=oldest_ios(last).removesuffix(".0"),
        application_id=options.application_id,
    )
    if len(bundles) == 1:
        return steps
    return "\n".join([steps, *SEVERAL, *map(bundle_row, bundles)])


def bundle_row(bundle: PlacedBundle) -> str:
    """Of the table of an app of several bundles."""
    place, system = PurePosixPath("assets", bundle.place), oldest_ios(bundle).removesuffix(".0")
    return f"| `{place}` | `{bundle.manifest.target}` | {system} | {bundle.manifest.shipped_bytes:,} |"


def check_options(options: AppOptions, runtime: str) -> None:
    """Refuse what Xcode or iOS would not take."""
    if not BUNDLE_ID.fullmatch(options.application_id):
        raise InputError(
            f"application id is {options.application_id!r}; a bundle identifier has letters, digits, - and . only"
        )
    if not VERSION_NAME.fullmatch(options.version_name) or len(options.version_name) > LONGEST_VERSION_NAME:
        raise InputError(
            f"version name is {shown(options.version_name)}; allowed on iOS: one to three whole numbers with dots "
            f"between, {LONGEST_VERSION_NAME} characters at most, as 1.0"
        )
    if re.search(r"\$[({]", options.name):
        raise InputError(f"name is {options.name!r}; Xcode would replace what begins with $( or ${{; give another name")
    if options.download_url and urlsplit(options.download_url).scheme != "https":
        raise InputError(f"download URL is {options.download_url!r}; iOS apps load https:// only")
    if options.download_url and runtime in SYSTEM_RUNTIMES:
        raise InputError(
            f"a {SYSTEM_RUNTIMES[runtime]} model is a folder and cannot be downloaded; package without --download-url"
        )


def opaque_icon(path: Path) -> bytes:
    """A PNG that App Store Connect takes: it refuses an icon with transparency, even where every pixel is opaque."""
    icon = read_icon(path, ICON_SIZE, ICON_SIZE)
    if icon.has_alpha:
        raise InputError(f"icon {path} has transparency; the App Store takes none; export it without an alpha channel")
    return icon.data


def replacements(options: AppOptions, bundles: Sequence[PlacedBundle]) -> dict[str, dict[str, str]]:
    """The user's values where the template's defaults stand; the last of `bundles` runs on the oldest iOS."""
    fallbacks = ", ".join(quoted(each.place) for each in bundles[1:])
    has_coreai = any(each.runtime == "coreai" for each in bundles)
    project = {
        f'INFOPLIST_KEY_CFBundleDisplayName = "{DEFAULT_NAME}";': (
            f"INFOPLIST_KEY_CFBundleDisplayName = {quoted(options.name)};"
        ),
        f"PRODUCT_BUNDLE_IDENTIFIER = {DEFAULT_APPLICATION_ID};": (
            f"PRODUCT_BUNDLE_IDENTIFIER = {quoted(options.application_id)};"
        ),
        f"PRODUCT_BUNDLE_IDENTIFIER = {DEFAULT_APPLICATION_ID}.tests;": (
            f"PRODUCT_BUNDLE_IDENTIFIER = {quoted(options.application_id + '.tests')};"
        ),
    }
    project[f"MARKETING_VERSION = {DEFAULT_VERSION_NAME};"] = f"MARKETING_VERSION = {options.version_name};"
    code = "CURRENT_PROJECT_VERSION = {};"
    project[code.format(DEFAULT_VERSION_CODE)] = code.format(options.version_code)
    project[f"IPHONEOS_DEPLOYMENT_TARGET = {ios_target()};"] = (
        f"IPHONEOS_DEPLOYMENT_TARGET = {oldest_ios(bundles[-1])};"
    )
    settings = {f'title = "{DEFAULT_NAME}"': f"title = {quoted(options.name)}"}
    settings[f"VectorForm.{VECTOR_FORMS[0]}"] = f"VectorForm.{options.vectors}"
    if fallbacks:
        settings["fallbacks: [String] = []"] = f"fallbacks: [String] = [{fallbacks}]"
    if options.download_url:
        settings['downloadURL = ""'] = f"downloadURL = {quoted(options.download_url)}"
    return {PROJECT: project, SETTINGS: settings, APP: {} if has_coreai else {COREAI_LINKED: ""}}


def quoted(text: str) -> str:
    """A string literal: Swift's and those of Xcode's project files are escaped alike."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def without_objects(project: str, ids: tuple[str, ...]) -> str:
    """An Xcode project file without these objects and without all lines that name them."""
    for each in ids:
        project = re.sub(rf"^\t\t{each} [^\n]*= \{{\n.*?^\t\t\}};\n", "", project, flags=re.MULTILINE | re.DOTALL)
        project = re.sub(rf"^.*\b{each}\b.*\n", "", project, flags=re.MULTILINE)
    return project
