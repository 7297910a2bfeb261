"""The Android app: a Gradle project in Kotlin, made of `sample_apps/android` and the bundle.

Of the template's runtime modules only the bundle's own stays, since each brings a native library of 15 to 20 MB. The
model goes into the assets as it is and is kept uncompressed in the APK; `:core` gets the bundle's goldens as test
resources, so that `gradle :core:test` proves the tokenizer on this very vocabulary, and the tests on a phone get them
for its device report. The app has no permission at all unless the model is downloaded.

The Gradle wrapper's jar is the one that Gradle publishes; tests/package/test_pins.py compares its sha256.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from edgepack.bundle.goldens import GOLDEN_NAME
from edgepack.bundle.manifest import MANIFEST_NAME, BundleManifest
from edgepack.errors import InputError, shown
from edgepack.package.icon import read_icon
from edgepack.package.project import (
    DEFAULT_APPLICATION_ID,
    DEFAULT_NAME,
    DEFAULT_VERSION_CODE,
    DEFAULT_VERSION_NAME,
    SERVED,
    VECTOR_FORMS,
    AppOptions,
    PlacedBundle,
    copy_assets,
    copy_file,
    copy_served,
    model_path,
    write_readme,
)
from edgepack.package.template import copy_template
from edgepack.tokenizer.asset import ASSET_NAME
from edgepack.workspace import write_atomic

MODULES = {"onnxruntime": "onnx", "pytorch-lite": "pytorch", "executorch": "executorch", "litert": "litert"}
RUNTIMES = tuple(MODULES)
TEMPLATE_MODULE = "onnx"  # what gradle.properties of the template says
SUFFIXES = ("onnx", "ptl", "pte", "tflite")
VERSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,49}")  # what needs no escape in Kotlin
APPLICATION_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
ASSETS, GOLDENS = Path("app/src/main/assets"), Path("core/src/test/resources/golden")
DEVICE_GOLDENS = Path("app/src/androidTest/assets")  # of the tests that run on a phone, not of the app
ANDROID_MANIFEST = "app/src/main/AndroidManifest.xml"
WRAPPER = "gradlew"
NETWORK = Path("app/src/main/res/xml/network_security_config.xml")
NETWORK_ATTRIBUTE = '        android:networkSecurityConfig="@xml/network_security_config"\n'
RESOURCES = Path("app/src/main/res")
LAUNCHER, TEMPLATE_ICON = RESOURCES / "mipmap-anydpi/ic_launcher.xml", RESOURCES / "drawable/ic_launcher_foreground.xml"
ICON = RESOURCES / "drawable-nodpi/ic_launcher_image.png"
SMALLEST_ICON, LARGEST_ICON = 512, 2048  # pixels: the store's own, and 16 MB in a launcher's memory
# A layer is 108 dp wide, and phones show the 72 in its middle: an inset of a sixth at each side.
ADAPTIVE_ICON = """<?xml version="1.0" encoding="utf-8"?>
<adaptive-icon xmlns:android="http://schemas.android.com/apk/res/android">
    <background android:drawable="@color/launcher_background" />
    <foreground>
        <inset android:drawable="@drawable/ic_launcher_image" android:inset="16.67%" />
    </foreground>
</adaptive-icon>
"""
INTERNET = '    <uses-permission android:name="android.permission.INTERNET" />\n\n'
# What a library's own manifest would bring into the app's. LiteRT: for models that Google Play delivers; the store
# wants a reason, with a video, for the second.
UNUSED_PERMISSIONS = {"litert": ("FOREGROUND_SERVICE", "FOREGROUND_SERVICE_DATA_SYNC")}

STEPS = """
Open the folder in Android Studio and run `app`; it brings the Android SDK. On the command line, with a JDK 17 and the
Android SDK (`ANDROID_HOME`); the wrapper fetches Gradle:

```bash
./gradlew :app:installDebug       # on a device or emulator that is connected
./gradlew :core:test              # tokenizer against the bundle's golden vectors, files, downloads: on this computer
./gradlew test                    # all tests that need no device
./gradlew :app:connectedDebugAndroidTest # the screen in each of its states, on a device or emulator
./gradlew :app:bundleRelease      # for a store, once you have set up signing
```

`:app` is the screen (Compose), `:core` is pure Kotlin without dependencies (tokenizer, manifest, labels, entities,
files checked and fetched), `:runtime-{module}` runs the model in {runtime}. To move the model into an app of yours,
copy `:core`, `:runtime-{module}` and the assets, and call `TextClassifier`.
{served}
What the model takes on a phone, as a device report for the gate; this opens and times the model in a process of its own
and runs the bundle's golden vectors there:

```bash
./gradlew :app:installDebug :app:installDebugAndroidTest
adb shell am instrument -w -e class dev.edgepack.app.DeviceReportTest \\
  {application_id}.test/androidx.test.runner.AndroidJUnitRunner
adb pull /sdcard/Android/data/{application_id}/files/device-report.json
edgepack gate BUNDLE --device-report device-report.json
```
"""

SERVED_STEP = """
`{folder}/` has the model for your server, with the files that it belongs to; nothing of it gets into the app. The tests
of the runtime module read it.
"""

VERIFIED = (
    "The template's tokenizer gives the Hugging Face fast tokenizer's ids and offsets on golden vectors and on fuzzed "
    "strings, 100,000 of WordPiece and 312,000 of byte-level BPE (Kotlin on a desktop JVM, in edgepack's own tests).",
    "The template's Kotlin compiles; what it was compiled against is listed in edgepack's docs/android.md.",
)
NOT_VERIFIED = (
    "No Gradle build and no run on a phone or an emulator: edgepack's tests have no access to Google's Maven "
    "repository. The versions in `gradle/libs.versions.toml` were not resolved.",
    "How the screen looks, and how it works with TalkBack.",
    "The tests that run on a device, of the screen and of the device report, were compiled against stubs; what the "
    "report calls to measure ran on a desktop JVM.",
)
RUNTIME_NOT_VERIFIED = {
    "onnxruntime": "Latency and memory on a phone. On a desktop JVM the runtime module was run with ONNX Runtime 1.17.",
    "pytorch-lite": "The runtime module was compiled against stubs only. PyTorch Lite 2.1.0, its last release, has "
    "native libraries aligned to 4 KB: Google Play refuses them for apps that target Android 15 or newer.",
    "executorch": "The runtime module was compiled against ExecuTorch's Java classes and never run.",
    "litert": "The runtime module was compiled against stubs and never run.",
}


def write_project(bundles: Sequence[PlacedBundle], options: AppOptions, folder: Path) -> None:
    """Write the Gradle project."""
    check_names(options)
    bundle, manifest = bundles[0].folder, bundles[0].manifest
    icon = read_icon(options.icon, SMALLEST_ICON, LARGEST_ICON) if options.icon else None
    module = MODULES[manifest.runtime.name]
    copy_template("android", folder, replacements(manifest, options))
    (folder / WRAPPER).chmod(0o755)  # a wheel keeps no modes
    for other in set(MODULES.values()) - {module}:
        shutil.rmtree(folder / f"runtime-{other}")
    copy_assets(bundle, manifest, options, folder / ASSETS)
    copy_served(bundle, manifest, options, folder)
    copy_goldens(bundle, manifest, folder)
    if icon:
        write_icon(icon.data, folder)
    if is_cleartext(options):
        write_network_config(options, folder / NETWORK)
    write_readme(
        bundles,
        options,
        folder,
        device="android",
        kind="An Android app",
        assets=ASSETS.as_posix(),
        steps=STEPS.format(
            module=module,
            runtime=manifest.runtime.name,
            application_id=options.application_id,
            served=SERVED_STEP.format(folder=SERVED) if options.download_url else "",
        ),
        verified=VERIFIED,
        not_verified=(*NOT_VERIFIED, RUNTIME_NOT_VERIFIED[manifest.runtime.name]),
    )


def check_names(options: AppOptions) -> None:
    """Refuse an id or a version name that Android would not take; its rule of ids is narrower than that of all apps."""
    if not VERSION_NAME.fullmatch(options.version_name):
        raise InputError(
            f"version name is {shown(options.version_name)}; allowed on Android: 1 to 50 letters, digits, . _ + and -, "
            "the first a letter or digit, as 1.0"
        )
    if not APPLICATION_ID.fullmatch(options.application_id):
        raise InputError(
            f"application id is {options.application_id!r}; Android allows letters, digits and _ in each part: "
            "com.example.app"
        )


def replacements(manifest: BundleManifest, options: AppOptions) -> dict[str, dict[str, str]]:
    """What the template's defaults become, by file."""
    suffixes = ", ".join(f'"{suffix}"' for suffix in SUFFIXES)
    module, url = MODULES[manifest.runtime.name], escape(options.download_url or "")
    out = {
        "settings.gradle.kts": {"edgepack-sample": options.application_id},
        "gradle.properties": {f"edgepack.runtime={TEMPLATE_MODULE}": f"edgepack.runtime={module}"},
        "app/build.gradle.kts": {
            DEFAULT_APPLICATION_ID: options.application_id,
            f"versionCode = {DEFAULT_VERSION_CODE}\n": f"versionCode = {options.version_code}\n",
            f'versionName = "{DEFAULT_VERSION_NAME}"': f'versionName = "{options.version_name}"',
            suffixes: f'"{Path(model_path(manifest)).suffix.removeprefix(".")}"',
        },
        "app/src/main/res/values/app.xml": {
            f">{DEFAULT_NAME}<": f">{android_string(options.name)}<",
            'name="model_folder_url" translatable="false"><': f'name="model_folder_url" translatable="false">{url}<',
            f">{VECTOR_FORMS[0]}<": f">{options.vectors}<",
        },
    }
    permissions = without_permissions(manifest.runtime.name) + (INTERNET if options.download_url else "")
    network = NETWORK_ATTRIBUTE if is_cleartext(options) else ""
    out[ANDROID_MANIFEST] = {
        "    <application\n": f"{permissions}    <application\n",
        '        android:supportsRtl="true"\n': f'{network}        android:supportsRtl="true"\n',
    }
    return out


def without_permissions(runtime: str) -> str:
    """Lines of the app's manifest that keep the runtime library's permissions out of the app."""
    names = UNUSED_PERMISSIONS.get(runtime, ())
    lines = [f'    <uses-permission android:name="android.permission.{n}" tools:node="remove" />\n' for n in names]
    comment = "    <!-- The runtime's library would bring these; nothing here uses them. -->\n"
    return f"{comment}{''.join(lines)}\n" if lines else ""


def android_string(text: str) -> str:
    """`text` as the content of a string resource: XML, and Android's own escapes."""
    escaped = re.sub(r"""(["'\\])""", r"\\\1", text.strip())
    escaped = re.sub(r"^[@?]", r"\\\g<0>", escaped)
    return escape(re.sub(" {2,}", lambda spaces: r"\u0020" * len(spaces.group()), escaped))


def copy_goldens(bundle: Path, manifest: BundleManifest, folder: Path) -> None:
    """The golden vectors: test resources of `:core`, with what they were made with, and assets of the phone's tests."""
    for record in manifest.files:
        if record.path in (ASSET_NAME, GOLDEN_NAME):
            copy_file(bundle, record, folder / GOLDENS)
        if record.path == GOLDEN_NAME:
            copy_file(bundle, record, folder / DEVICE_GOLDENS)
    shutil.copyfile(bundle / MANIFEST_NAME, folder / GOLDENS / MANIFEST_NAME)


def write_icon(image: bytes, folder: Path) -> None:
    """Put the user's picture where the template's drawing is: whole, in the part of the layer that phones show.

    No monochrome layer: that of themed icons is a drawing of one colour, which a picture is not.
    """
    (folder / TEMPLATE_ICON).unlink()
    (folder / ICON).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / ICON, image)
    write_atomic(folder / LAUNCHER, ADAPTIVE_ICON.encode())


def is_cleartext(options: AppOptions) -> bool:
    """Whether the model is fetched by plain HTTP, which Android allows for named hosts only."""
    return bool(options.download_url) and urlsplit(options.download_url or "").scheme == "http"


def write_network_config(options: AppOptions, path: Path) -> None:
    """Allow plain HTTP to the one local host that the download URL names."""
    host = escape(urlsplit(options.download_url or "").hostname or "")
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        "<!-- For trying downloads from a server on this computer; take it out before you publish. -->",
        "<network-security-config>",
        '    <domain-config cleartextTrafficPermitted="true">',
        f"        <domain>{host}</domain>",
        "    </domain-config>",
        "</network-security-config>",
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "\n".join(lines).encode())
