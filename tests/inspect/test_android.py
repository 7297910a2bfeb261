"""Built .apk and .aab files: a good one passes, and each way to break it is named."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepack.inspect.app import Inspection, inspect_app

pytestmark = pytest.mark.needs_android_tools
MODEL_NAME = "assets/onnx/model_quantized.onnx"


def failures(result: Inspection) -> dict[str, str]:
    return {check.name: check.reason for check in result.checks if check.status == "failed"}


def test_a_good_apk_passes_every_check(apk: Any, tmp_path: Path) -> None:
    result = inspect_app(apk.write(tmp_path / "app.apk"))
    assert failures(result) == {}
    statuses = {check.name: check.status for check in result.checks}
    assert statuses.pop("signature") == "warning"
    assert statuses.pop("privacy-manifest") == "not_applicable"
    assert set(statuses.values()) == {"passed"}
    assert result.passed


@pytest.mark.slow
def test_zipalign_and_apksigner_agree_that_it_is_good_and_its_signature_is_seen(apk: Any, tmp_path: Path) -> None:
    app = apk.write(tmp_path / "app.apk")
    subprocess.run(["zipalign", "-c", "-p", "4", str(app)], check=True)
    store, secret = tmp_path / "key.jks", ["-storepass", "secret", "-keypass", "secret"]
    key = ["keytool", "-genkeypair", "-keystore", str(store), "-alias", "a", "-keyalg", "EC", "-dname", "CN=a", *secret]
    subprocess.run(key, check=True, capture_output=True)
    signing = ["apksigner", "sign", "--ks", str(store), "--ks-pass", "pass:secret", "--min-sdk-version", "26"]
    subprocess.run([*signing, str(app)], check=True)
    result = inspect_app(app)
    assert failures(result) == {}
    assert next(check for check in result.checks if check.name == "signature").status == "passed"


def test_a_good_aab_passes(aab: Any, tmp_path: Path) -> None:
    result = inspect_app(aab.write(tmp_path / "app.aab"))
    assert failures(result) == {}
    assert next(check for check in result.checks if check.name == "zip-alignment").status == "not_applicable"


Break = Callable[[Any, Callable[..., bytes], Callable[..., bytes]], Any]
BROKEN_APKS: dict[str, tuple[str, str, Break]] = {
    "compressed model": ("model-stored", "is compressed", lambda app, _, __: app.put(MODEL_NAME, stored=False)),
    "misaligned model": ("zip-alignment", "not at a multiple of 4", lambda app, _, __: app.put(MODEL_NAME, shift=2)),
    "library at 4 KB": (
        "zip-alignment",
        "arm64-v8a/libonnxruntime.so starts at .* multiple of 16384",
        lambda app, _, __: app.put("lib/arm64-v8a/libonnxruntime.so", shift=4096),
    ),
    "32-bit library at 2 KB": (
        "zip-alignment",
        "armeabi-v7a/libonnxruntime.so starts at .* multiple of 4096",
        lambda app, _, __: app.put("lib/armeabi-v7a/libonnxruntime.so", shift=2048),
    ),
    "segments at 4 KB": (
        "elf-16kb",
        "x86_64/libonnxruntime.so has a LOAD segment aligned to 4096, not 16384",
        lambda app, _, link: app.put("lib/x86_64/libonnxruntime.so", link(pages=4096)),
    ),
    "no ELF": (
        "elf-16kb",
        "is no little-endian ELF file",
        lambda app, _, __: app.put("lib/x86_64/libonnxruntime.so", b"text"),
    ),
    "two runtimes": (
        "runtimes",
        "arm64-v8a has 2 inference runtimes: .*libonnxruntime.so, .*libpytorch_jni_lite.so",
        lambda app, _, link: app.put("lib/arm64-v8a/libpytorch_jni_lite.so", link(), stored=True, align=16384),
    ),
    "a runtime linked into another library": (
        "runtimes",
        "libmine.so",
        lambda app, _, link: app.put("lib/x86_64/libmine.so", link(text="N6tflite11InterpreterE")),
    ),
    "altered model": (
        "model",
        "its sha256 differs",
        lambda app, _, __: app.put(MODEL_NAME, app.files[MODEL_NAME].data[:-1] + b"!"),
    ),
    "truncated model": ("model", "has 10 bytes", lambda app, _, __: app.put(MODEL_NAME, b"0123456789")),
    "missing model": ("model", "is missing", lambda app, _, __: app.without(MODEL_NAME)),
    "a model beside": (
        "model",
        "assets/old.tflite is a model that no manifest names",
        lambda app, _, __: app.put("assets/old.tflite", b"x", stored=True, align=4),
    ),
    "no bundle": (
        "bundle",
        "has no edgepack.json",
        lambda app, _, __: app.without("assets/edgepack.json").without(MODEL_NAME),
    ),
    "INTERNET": (
        "permissions",
        "android.permission.INTERNET; remove it",
        lambda app, manifest, _: app.put(
            "AndroidManifest.xml", manifest(permissions=["android.permission.VIBRATE", "android.permission.INTERNET"])
        ),
    ),
    "debuggable": (
        "debuggable",
        "android:debuggable is true",
        lambda app, manifest, _: app.put("AndroidManifest.xml", manifest(debuggable=True)),
    ),
    "path that leads outside": ("entries", "leads outside", lambda app, _, __: app.put("assets/../../x", b"x")),
}


@pytest.mark.parametrize("name", BROKEN_APKS)
def test_an_apk_that_is_broken_in_one_way_fails_that_check_alone(
    name: str, apk: Any, compiled: Callable[..., bytes], library: Callable[..., bytes], tmp_path: Path
) -> None:
    check, reason, change = BROKEN_APKS[name]
    found = failures(inspect_app(change(apk, compiled, library).write(tmp_path / "app.apk")))
    assert list(found) == [check]
    assert re.search(reason, found[check])


BROKEN_AABS: dict[str, tuple[str, Break]] = {
    "model will be compressed": ("model-stored", lambda app, _, __: app.put("BundleConfig.pb", b"\x0a\x02\x12\x00")),
    "segments at 4 KB": (
        "elf-16kb",
        lambda app, _, link: app.put("base/lib/arm64-v8a/libonnxruntime.so", link(pages=4096)),
    ),
    "INTERNET": (
        "permissions",
        lambda app, manifest, _: app.put(
            "base/manifest/AndroidManifest.xml", manifest(proto=True, permissions=["android.permission.INTERNET"])
        ),
    ),
    "debuggable in a second module": (
        "debuggable",
        lambda app, manifest, _: app.put("more/manifest/AndroidManifest.xml", manifest(proto=True, debuggable=True)),
    ),
    "altered model": ("model", lambda app, _, __: app.put(f"base/{MODEL_NAME}", b"model!" * 500)),
    "no runtime": ("runtimes", lambda app, _, __: app.without("base/lib/arm64-v8a/libonnxruntime.so")),
}


@pytest.mark.parametrize("name", BROKEN_AABS)
def test_an_aab_that_is_broken_in_one_way_fails_that_check_alone(
    name: str, aab: Any, compiled: Callable[..., bytes], library: Callable[..., bytes], tmp_path: Path
) -> None:
    check, change = BROKEN_AABS[name]
    assert list(failures(inspect_app(change(aab, compiled, library).write(tmp_path / "app.aab")))) == [check]


def test_a_compressed_library_needs_no_place_but_the_right_segments(
    apk: Any, library: Callable[..., bytes], tmp_path: Path
) -> None:
    name = "lib/arm64-v8a/libonnxruntime.so"
    good = apk.put(name, stored=False, align=1, shift=1)
    assert failures(inspect_app(good.write(tmp_path / "a.apk"))) == {}
    bad = good.put(name, library(pages=4096))
    assert list(failures(inspect_app(bad.write(tmp_path / "b.apk")))) == ["elf-16kb"]


def test_the_gated_bundle_is_compared(apk: Any, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    app = apk.write(tmp_path / "app.apk")
    gated, other = make_bundle(), make_bundle(model=b"another")
    assert failures(inspect_app(app, [gated])) == {}
    assert failures(inspect_app(app, [other, gated])) == {}
    assert list(failures(inspect_app(app, [other]))) == ["bundle"]


def test_an_app_that_downloads_its_model_may_lack_it_and_ask_for_internet(
    apk: Any, compiled: Callable[..., bytes], tmp_path: Path
) -> None:
    contents = apk.put("AndroidManifest.xml", compiled(permissions=["android.permission.INTERNET"]))
    app = contents.without(MODEL_NAME).write(tmp_path / "app.apk")
    assert list(failures(inspect_app(app))) == ["model", "permissions"]
    assert failures(inspect_app(app, on_demand=True)) == {}
    assert list(failures(inspect_app(app, allowed=["android.permission.INTERNET"]))) == ["model"]
    without_words = contents.without("assets/tokenizer.bin").write(tmp_path / "b.apk")
    assert list(failures(inspect_app(without_words, on_demand=True))) == ["model"]


def test_the_json_is_plain_and_the_table_names_every_check(apk: Any, tmp_path: Path) -> None:
    result = inspect_app(apk.write(tmp_path / "app.apk"))
    document = json.loads(json.dumps(result.to_record()))
    assert document["kind"] == "apk"
    assert all(check["name"] in result.table() for check in document["checks"])
