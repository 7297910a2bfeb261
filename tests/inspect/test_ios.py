"""Built .ipa files: a good one passes, and each way to break it is named."""

from __future__ import annotations

import plistlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from edgepack.errors import InputError
from edgepack.inspect.app import Inspection, inspect_app
from edgepack.inspect.privacy import privacy_faults
from tests.inspect.conftest import with_bundle

PRIVACY_NAME = "Payload/Sample.app/PrivacyInfo.xcprivacy"
MODEL_NAME = "Payload/Sample.app/assets/onnx/model_quantized.onnx"
MACH_O = b"\xcf\xfa\xed\xfe" + bytes(28)
PROFILE = {"Entitlements": {"get-task-allow": True}}


def failures(result: Inspection) -> list[str]:
    return [check.name for check in result.checks if check.status == "failed"]


def test_a_good_ipa_passes(ipa: Any, tmp_path: Path) -> None:
    result = inspect_app(ipa.write(tmp_path / "app.ipa"))
    assert failures(result) == []
    statuses = {check.name: check.status for check in result.checks}
    not_for_ios = {name for name, status in statuses.items() if status == "not_applicable"}
    assert not_for_ios == {"model-stored", "zip-alignment", "elf-16kb", "permissions"}
    assert "warning" not in statuses.values()


def test_permissions_are_androids(ipa: Any, tmp_path: Path) -> None:
    app = ipa.write(tmp_path / "app.ipa")
    with pytest.raises(InputError, match=r"--allow CAMERA: Android permissions, and app\.ipa is an iOS app: leave it"):
        inspect_app(app, allowed=["CAMERA"])


BROKEN: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "no privacy manifest": ("privacy-manifest", lambda app: app.without(PRIVACY_NAME)),
    "privacy manifest in a framework only": (
        "privacy-manifest",
        lambda app: app.without(PRIVACY_NAME).put(
            "Payload/Sample.app/Frameworks/F.framework/PrivacyInfo.xcprivacy", app.files[PRIVACY_NAME].data
        ),
    ),
    "altered model": ("model", lambda app: app.put(MODEL_NAME, b"Model " * 500)),
    "model beside": ("model", lambda app: app.put("Payload/Sample.app/Old.mlmodelc/weights.bin", b"x")),
    "a Core AI asset beside": ("model", lambda app: app.put("Payload/Sample.app/Old.aimodel/main.mlirb", b"x")),
    "no bundle": (
        "bundle",
        lambda app: app.without("Payload/Sample.app/assets/edgepack.json").without(MODEL_NAME),
    ),
    "two runtimes": (
        "runtimes",
        lambda app: app.put("Payload/Sample.app/Frameworks/TensorFlowLiteC.framework/TensorFlowLiteC", MACH_O),
    ),
    "the runtime twice": (
        "runtimes",
        lambda app: app.put("Payload/Sample.app/Frameworks/onnxruntime.framework/onnxruntime", MACH_O),
    ),
    "no runtime": ("runtimes", lambda app: app.put("Payload/Sample.app/Sample", MACH_O)),
    "debugger allowed": (
        "debuggable",
        lambda app: app.put(
            "Payload/Sample.app/embedded.mobileprovision", b"0\x82 signed" + plistlib.dumps(PROFILE) + b"\x31"
        ),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_ipa_that_is_broken_in_one_way_fails_that_check_alone(name: str, ipa: Any, tmp_path: Path) -> None:
    check, change = BROKEN[name]
    assert failures(inspect_app(change(ipa).write(tmp_path / "app.ipa"))) == [check]


def test_an_unsigned_ipa_is_a_warning(ipa: Any, tmp_path: Path) -> None:
    unsigned = ipa.without("Payload/Sample.app/_CodeSignature/CodeResources")
    result = inspect_app(unsigned.write(tmp_path / "app.ipa"))
    assert result.passed
    assert [check.name for check in result.checks if check.status == "warning"] == ["signature"]


@pytest.mark.parametrize("target", ["ios-coreml", "ios-coreai"])
def test_a_runtime_of_the_system_is_not_looked_for(make_bundle: Any, ipa: Any, tmp_path: Path, target: str) -> None:
    app = ipa.without(MODEL_NAME).put("Payload/Sample.app/Sample", MACH_O)
    app = with_bundle(app, make_bundle(target), "Payload/Sample.app/assets/")
    assert failures(inspect_app(app.write(tmp_path / "app.ipa"))) == []


def test_an_app_of_two_bundles_is_compared_with_both(make_bundle: Any, ipa: Any, tmp_path: Path) -> None:
    newest, older = make_bundle("ios-coreai", b"newest"), make_bundle("ios-onnx")
    app = ipa.without(MODEL_NAME)
    for bundle, place in ((newest, "assets/"), (older, "assets/onnxruntime/")):
        app = with_bundle(app, bundle, f"Payload/Sample.app/{place}")
    path = app.write(tmp_path / "app.ipa")
    assert failures(inspect_app(path, [newest, older])) == []
    assert failures(inspect_app(path, [newest])) == ["bundle"]
    damaged = app.put("Payload/Sample.app/assets/onnxruntime/onnx/model_quantized.onnx", b"other")
    assert failures(inspect_app(damaged.write(tmp_path / "damaged.ipa"), [newest, older])) == ["model"]


def test_a_text_that_names_a_runtime_is_none(ipa: Any, tmp_path: Path) -> None:
    app = ipa.put("Payload/Sample.app/notes.txt", b"N6tflite11InterpreterE")
    assert failures(inspect_app(app.write(tmp_path / "app.ipa"))) == []


ACCESSED = "NSPrivacyAccessedAPITypes"
TYPE, REASONS = "NSPrivacyAccessedAPIType", "NSPrivacyAccessedAPITypeReasons"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: d.pop(ACCESSED), f"has no {ACCESSED}"),
        (lambda d: d.update(NSPrivacyTracking="no"), "NSPrivacyTracking is str, not bool"),
        (lambda d: d.update(NSPrivacyTraking=False), "unknown key NSPrivacyTraking"),
        (lambda d: d[ACCESSED][0].update({TYPE: "FileTimestamp"}), "unknown category 'FileTimestamp'"),
        (lambda d: d[ACCESSED][0].update({REASONS: []}), "has no reasons"),
        (lambda d: d[ACCESSED][0].update({REASONS: ["CA92.1"]}), "has no reason 'CA92.1'"),
        (lambda d: d[ACCESSED][0].pop(REASONS), "has not just"),
        (lambda d: d.update({ACCESSED: ["x"]}), "has not just"),
    ],
)
def test_a_privacy_manifest_that_apple_would_refuse(ipa: Any, change: Callable[[Any], Any], fault: str) -> None:
    document = deepcopy(plistlib.loads(ipa.files[PRIVACY_NAME].data))
    assert privacy_faults(plistlib.dumps(document)) == []
    change(document)
    (found,) = privacy_faults(plistlib.dumps(document))
    assert fault in found


@pytest.mark.parametrize("data", [b"", b"<plist>", b"bplist00", b"not a plist", plistlib.dumps(["a"])])
def test_what_is_no_privacy_manifest(data: bytes) -> None:
    (found,) = privacy_faults(data)
    assert found.startswith("is ")
