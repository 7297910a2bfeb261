"""The iOS project: the user's values are in it, and every reference of its project file leads somewhere."""

from __future__ import annotations

import json
import plistlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from edgepack.errors import CheckFailed, InputError
from edgepack.inspect.privacy import privacy_faults
from edgepack.package import AppOptions, package_bundle
from edgepack.package.ios import APP, COREAI, COREAI_LINKED, ONNX_RUNTIME_IDS, PROJECT, without_objects
from edgepack.package.pins import ios_target

TEMPLATE = Path(__file__).resolve().parents[2] / "sample_apps" / "ios"
TOKEN = re.compile(r'\s+|//[^\n]*|/\*.*?\*/|([{}()=;,])|"((?:\\.|[^"\\])*)"|([\w./$-]+)', re.DOTALL)

VIEWS = "Text|Label|Toggle|Button|TextField|ProgressView|Section|LabeledContent|accessibilityLabel|localized"
LOCALIZED = re.compile(rf'\b(?:{VIEWS})\(\s*((?:\w+ \? "[^"]*" : )?"(?:[^"\\]|\\.)*")')


def tokens(text: str) -> Iterator[str]:
    """Marks and words of an old-style property list; strings are told from marks by a quote in front."""
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match, f"no property list at {text[at : at + 40]!r}"
        at = match.end()
        mark, string, word = match.groups()
        if mark:
            yield mark
        elif string is not None or word:
            yield '"' + (re.sub(r"\\(.)", r"\1", string) if string is not None else word)


def parse(text: str) -> Any:
    """An old-style property list: dictionaries, arrays, strings."""
    stream = tokens(text)

    def value(token: str) -> Any:
        if token == "{":
            found = {}
            while (key := next(stream)) != "}":
                assert key[0] == '"'
                assert next(stream) == "="
                assert key[1:] not in found, f"{key} is there twice"
                found[key[1:]] = value(next(stream))
                assert next(stream) == ";"
            return found
        if token == "(":
            items = []
            while (token := next(stream)) != ")":
                items.append(value(token))
                assert next(stream) == ","
            return items
        assert token[0] == '"', f"unexpected {token}"
        return token[1:]

    document = value(next(stream))
    assert next(stream, None) is None
    return document


def ids_in(value: Any) -> Iterator[str]:
    """Everything that looks like an object's id."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ids_in(key)
            yield from ids_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from ids_in(item)
    elif re.fullmatch(r"ED6E[0-9A-F]{20}", value):
        yield value


def check_project(document: dict[str, Any], folder: Path) -> None:
    """Every id that is named exists and is reached from the root, and every file that is named is there."""
    objects = document["objects"]
    assert set(ids_in(document)) == set(objects)
    reached, waiting = set(), [document["rootObject"]]
    while waiting:
        each = waiting.pop()
        if each not in reached:
            reached.add(each)
            waiting += list(ids_in(objects[each]))
    assert reached == set(objects)
    for each in objects.values():
        if each.get("sourceTree") == "<group>" and "path" in each:
            assert (folder / each["path"]).exists(), each
        if each["isa"] == "XCLocalSwiftPackageReference":
            assert (folder / each["relativePath"] / "Package.swift").is_file()


def settings(document: dict[str, Any], key: str) -> set[str]:
    """The values of a build setting, where it is set."""
    found = [o["buildSettings"].get(key) for o in document["objects"].values() if o["isa"] == "XCBuildConfiguration"]
    return {value for value in found if value is not None}


def test_the_templates_project_is_whole() -> None:
    document = parse((TEMPLATE / PROJECT).read_text(encoding="utf-8"))
    check_project(document, TEMPLATE)
    assert document["objectVersion"] == "77"
    kinds = [each["isa"] for each in document["objects"].values()]
    assert kinds.count("PBXFileSystemSynchronizedRootGroup") == 2
    (remote,) = (each for each in document["objects"].values() if each["isa"] == "XCRemoteSwiftPackageReference")
    assert remote["requirement"]["kind"] == "exactVersion"


def test_the_test_target_runs_in_the_app_and_the_scheme_runs_it() -> None:
    objects = parse((TEMPLATE / PROJECT).read_text(encoding="utf-8"))["objects"]
    targets = {each["name"]: (key, each) for key, each in objects.items() if each["isa"] == "PBXNativeTarget"}
    (app, _), (tests, target) = targets["Sample"], targets["SampleTests"]
    assert target["productType"] == "com.apple.product-type.bundle.unit-test"
    assert [objects[each]["path"] for each in target["fileSystemSynchronizedGroups"]] == ["SampleTests"]
    (dependency,) = (objects[each] for each in target["dependencies"])
    assert dependency["target"] == objects[dependency["targetProxy"]]["remoteGlobalIDString"] == app
    for each in objects[target["buildConfigurationList"]]["buildConfigurations"]:
        host = objects[each]["buildSettings"]["TEST_HOST"]
        assert host == "$(BUILT_PRODUCTS_DIR)/Sample.app/$(BUNDLE_EXECUTABLE_FOLDER_PATH)/Sample"
    scheme = ElementTree.parse(TEMPLATE / "Sample.xcodeproj/xcshareddata/xcschemes/Sample.xcscheme")
    for section, wanted in (("BuildAction", app), ("TestAction", tests), ("LaunchAction", app), ("ProfileAction", app)):
        named = scheme.findall(f"./{section}//BuildableReference")
        assert [each.get("BlueprintIdentifier") for each in named] == [wanted], section
        assert [each.get("BuildableName") for each in named] == [objects[objects[wanted]["productReference"]]["path"]]


def test_package_app_and_type_check_are_in_swift_6_mode() -> None:
    assert settings(parse((TEMPLATE / PROJECT).read_text(encoding="utf-8")), "SWIFT_VERSION") == {"6.0"}
    assert "swiftLanguageModes: [.v6]" in (TEMPLATE / "EdgepackCore" / "Package.swift").read_text(encoding="utf-8")
    check = (Path(__file__).parents[1] / "apps" / "swift" / "check_app.sh").read_text(encoding="utf-8")
    assert "swiftc -swift-version 6 -warnings-as-errors" in check


def test_the_assets_are_a_folder_that_is_copied_as_it_is() -> None:
    objects = parse((TEMPLATE / PROJECT).read_text(encoding="utf-8"))["objects"]
    phases = [each for each in objects.values() if each["isa"] == "PBXResourcesBuildPhase"]
    (resources,) = (each for each in phases if each["files"])  # the tests' own are those of their folder
    (file,) = (objects[objects[each]["fileRef"]] for each in resources["files"])
    assert (file["lastKnownFileType"], file["path"]) == ("folder", "assets")


def test_a_parser_that_sees_what_is_wrong() -> None:
    for text in ("{a = b}", "{a = b; a = c;}", "(a b,)", "{a = b;} c", "{a = §;}"):
        with pytest.raises((AssertionError, StopIteration)):
            parse(text)
    with pytest.raises(AssertionError):
        check_project(parse("{objects = {ED6E00000000000000000001 = {y = ED6E00000000000000000002;};};}"), TEMPLATE)


def test_the_privacy_manifest_is_one_that_stores_take() -> None:
    assert privacy_faults((TEMPLATE / "Sample" / "PrivacyInfo.xcprivacy").read_bytes()) == []
    assert plistlib.loads((TEMPLATE / "Sample" / "PrivacyInfo.xcprivacy").read_bytes())["NSPrivacyTracking"] is False


def test_the_users_values_are_in_the_project(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "app"
    start = time.process_time()
    packaged = package_bundle(bundle, "ios", out, AppOptions('Mein "Ä\\B"', "com.example.my-app"))
    assert time.process_time() - start < 5
    document = parse((out / PROJECT).read_text(encoding="utf-8"))
    check_project(document, out)
    assert settings(document, "INFOPLIST_KEY_CFBundleDisplayName") == {'Mein "Ä\\B"'}
    assert settings(document, "PRODUCT_BUNDLE_IDENTIFIER") == {"com.example.my-app", "com.example.my-app.tests"}
    assert settings(document, "INFOPLIST_KEY_ITSAppUsesNonExemptEncryption") == {"NO"}
    assert (out / "SampleTests" / "golden.jsonl").read_bytes() == (bundle / "golden.jsonl").read_bytes()
    swift = (out / "Sample" / "Settings.swift").read_text(encoding="utf-8")
    assert r'title = "Mein \"Ä\\B\""' in swift
    assert 'downloadURL = ""' in swift
    assert "edgepack sample" not in swift
    names = set(packaged.files)
    assert {name for name in names if name.startswith("assets/")} == {
        "assets/edgepack.json",
        "assets/onnx/model_quantized.onnx",
        "assets/tokenizer.bin",
    }
    assert "Sample.xcodeproj/xcshareddata/xcschemes/Sample.xcscheme" in names
    assert {"README.md", "EdgepackCore/Package.swift", "Sample/PrivacyInfo.xcprivacy"} <= names
    assert not any(".build" in name for name in names)


def test_the_readme_says_what_was_not_run(bundle: Path, tmp_path: Path) -> None:
    package_bundle(bundle, "ios", tmp_path / "app", AppOptions())
    page = (tmp_path / "app" / "README.md").read_text(encoding="utf-8")
    assert "Nothing was built with Xcode" in page
    assert "Open `Sample.xcodeproj`" in page
    assert "targets Sample and SampleTests" in page
    assert "the store takes no app without one" in page
    assert "--device DEVICE --console dev.edgepack.sample device-report\n" in page
    assert page.count("--domain-identifier dev.edgepack.sample --source ") == 2
    assert json.loads((bundle / "edgepack.json").read_text())["files"][0]["sha256"] in page


def test_a_model_that_is_downloaded_stays_out(bundle: Path, tmp_path: Path) -> None:
    options = AppOptions(download_url="https://example.com/models/1")
    packaged = package_bundle(bundle, "ios", tmp_path / "app", options)
    assert [name for name in packaged.files if name.endswith(".onnx")] == ["model/onnx/model_quantized.onnx"]
    assert "assets/tokenizer.bin" in packaged.files
    swift = (tmp_path / "app" / "Sample" / "Settings.swift").read_text(encoding="utf-8")
    assert 'downloadURL = "https://example.com/models/1"' in swift
    readme = (tmp_path / "app" / "README.md").read_text(encoding="utf-8")
    assert "--on-demand" in readme
    assert (
        "Serve `model/onnx/model_quantized.onnx` at `https://example.com/models/1/onnx/model_quantized.onnx`" in readme
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (AppOptions(application_id="com.example.my_app"), "letters, digits, - and . only"),
        (AppOptions(name="a $(HOME)"), "Xcode would replace"),
        (AppOptions(download_url="http://localhost/models"), "https:// only"),
    ],
)
def test_what_ios_does_not_take_is_refused(bundle: Path, tmp_path: Path, options: AppOptions, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        package_bundle(bundle, "ios", tmp_path / "app", options)
    assert not (tmp_path / "app").exists()


def test_a_runtime_that_the_app_has_no_code_for_is_refused(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    torchscript = make_bundle({"model.ptl": b"m", "tokenizer.bin": b"w"}, target="ios-torchscript")
    with pytest.raises(InputError, match="the ios app runs onnxruntime, coreml, coreai"):
        package_bundle(torchscript, "ios", tmp_path / "app", AppOptions())


@pytest.mark.parametrize(
    ("target", "model", "oldest"),
    [
        ("ios-onnx", "onnx/model_quantized.onnx", "17"),
        ("ios-coreml", "model.mlpackage/a", "18"),
        ("ios-coreai", "model.aimodel/main.mlirb", "27"),
    ],
)
def test_an_app_runs_on_no_older_system_than_its_model(
    make_bundle: Callable[..., Path], tmp_path: Path, target: str, model: str, oldest: str
) -> None:
    bundle = make_bundle({model: b"m", "tokenizer.bin": b"w"}, target=target)
    package_bundle(bundle, "ios", tmp_path / "app", AppOptions())
    document = parse((tmp_path / "app" / PROJECT).read_text(encoding="utf-8"))
    assert settings(document, "IPHONEOS_DEPLOYMENT_TARGET") == {f"{oldest}.0"}
    assert f"runs on iOS {oldest} or newer" in (tmp_path / "app" / "README.md").read_text()


def test_a_project_for_core_ml_has_no_package_to_fetch() -> None:
    text = without_objects((TEMPLATE / PROJECT).read_text(encoding="utf-8"), ONNX_RUNTIME_IDS)
    document = parse(text)
    check_project(document, TEMPLATE)
    kinds = {each["isa"] for each in document["objects"].values()}
    assert "XCRemoteSwiftPackageReference" not in kinds
    assert "XCLocalSwiftPackageReference" in kinds


def localized_strings() -> set[str]:
    """The app's own strings, as keys of its catalog: literals that views and `localized` are given first.

    What is put into one is text already, numbers included, so each is a `%@`.
    """
    found = set()
    for path in (TEMPLATE / "Sample").rglob("*.swift"):
        for argument in LOCALIZED.findall(path.read_text(encoding="utf-8")):
            keys = re.findall(r'"((?:[^"\\]|\\.)*)"', argument)
            found |= {re.sub(r"\\\((?:[^()]|\([^()]*\))*\)", "%@", key) for key in keys}
    return found


def test_facts_are_words_and_no_keys() -> None:
    facts = (TEMPLATE / "Sample" / "ContentView.swift").read_text(encoding="utf-8")
    assert "readable(metric.name)" in facts
    assert facts.count("metric.name") == 1
    assert 'LabeledContent("Score", value: readable(manifest.labels[0]))' in facts


def test_the_catalog_has_the_apps_own_strings() -> None:
    catalog = json.loads((TEMPLATE / "Sample" / "Localizable.xcstrings").read_text(encoding="utf-8"))
    assert (catalog["sourceLanguage"], catalog["version"]) == ("en", "1.0")
    assert set(catalog["strings"]) == localized_strings()
    assert len(catalog["strings"]) > 30
    document = parse((TEMPLATE / PROJECT).read_text(encoding="utf-8"))
    assert settings(document, "LOCALIZATION_PREFERS_STRING_CATALOGS") == {"YES"}
    assert settings(document, "SWIFT_EMIT_LOC_STRINGS") == {"YES", "NO"}  # the tests' have none
    project = document["objects"][document["rootObject"]]
    assert project["developmentRegion"] == catalog["sourceLanguage"]
    assert project["attributes"]["LastUpgradeCheck"] == "2600"


@pytest.fixture
def coreai(make_bundle: Callable[..., Path]) -> Path:
    """A bundle with an asset's three files."""
    files = {f"model.aimodel/{name}": name.encode() for name in ("main.mlirb", "main.hash", "metadata.json")}
    return make_bundle({**files, "tokenizer.bin": b"w"}, target="ios-coreai")


def test_a_core_ai_project_has_its_adapter_and_no_package(coreai: Path, tmp_path: Path) -> None:
    out = tmp_path / "app"
    packaged = package_bundle(coreai, "ios", out, AppOptions())
    document = parse((out / PROJECT).read_text(encoding="utf-8"))
    check_project(document, out)
    assert "XCRemoteSwiftPackageReference" not in {each["isa"] for each in document["objects"].values()}
    assets = {name for name in packaged.files if name.startswith("assets/")}
    assert assets == {
        "assets/edgepack.json",
        "assets/model.aimodel/main.hash",
        "assets/model.aimodel/main.mlirb",
        "assets/model.aimodel/metadata.json",
        "assets/tokenizer.bin",
    }
    assert COREAI in packaged.files
    assert COREAI_LINKED in (out / APP).read_text(encoding="utf-8")
    verified, not_verified = (out / "README.md").read_text(encoding="utf-8").split("## Not verified")
    assert "Xcode 27 or newer" in verified
    assert "Core AI is part of iOS" in verified
    assert "no simulator has Core AI" in verified
    assert "CoreAIRuntime.swift" in not_verified
    assert "was not run on a device" in not_verified


def test_other_projects_have_no_core_ai(bundle: Path, tmp_path: Path) -> None:
    packaged = package_bundle(bundle, "ios", tmp_path / "app", AppOptions())
    swift = [tmp_path / "app" / name for name in packaged.files if name.endswith(".swift")]
    assert len(swift) > 20
    assert not any("CoreAI" in path.read_text(encoding="utf-8") for path in swift)


def test_a_model_that_is_a_folder_is_not_downloaded(coreai: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a Core AI model is a folder and cannot be downloaded"):
        package_bundle(coreai, "ios", tmp_path / "app", AppOptions(download_url="https://example.com/models/1"))


@pytest.fixture
def older(make_bundle: Callable[..., Path], coreai: Path) -> Path:
    """An ONNX bundle of the same build as `coreai`."""
    return make_bundle({"onnx/model_quantized.onnx": b"model", "tokenizer.bin": b"w"}, at="older", target="ios-onnx")


def test_an_app_of_two_bundles_runs_on_the_older_system(coreai: Path, older: Path, tmp_path: Path) -> None:
    out = tmp_path / "app"
    packaged = package_bundle(coreai, "ios", out, AppOptions(fallback=(older,)))
    document = parse((out / PROJECT).read_text(encoding="utf-8"))
    check_project(document, out)
    assert settings(document, "IPHONEOS_DEPLOYMENT_TARGET") == {ios_target()}
    assert "XCRemoteSwiftPackageReference" in {each["isa"] for each in document["objects"].values()}
    assert {COREAI, "assets/edgepack.json", "assets/model.aimodel/main.mlirb"} <= set(packaged.files)
    inside = {name for name in packaged.files if name.startswith("assets/onnxruntime/")}
    assert inside == {
        f"assets/onnxruntime/{name}" for name in ("edgepack.json", "onnx/model_quantized.onnx", "tokenizer.bin")
    }
    assert {"SampleTests/golden.jsonl", "SampleTests/golden-onnxruntime.jsonl"} <= set(packaged.files)
    assert 'fallbacks: [String] = ["onnxruntime"]' in (out / "Sample" / "Settings.swift").read_text(encoding="utf-8")
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "| `assets/onnxruntime` | `ios-onnx` | 17 |" in readme
    assert "edgepack inspect APP.ipa --bundle BUNDLE --bundle BUNDLE2`" in readme
    assert "2 models and their tokenizers and by the runtime" in readme
    assert "- For `ios-onnx`: The bundle's verdict passed" in readme
    assert {"| `model.aimodel/main.mlirb` |", "| `onnxruntime/onnx/model_quantized.onnx` |"} <= {
        line[: line.index("|", 2) + 1] for line in readme.splitlines() if line.startswith("| `")
    }


def test_a_bundle_that_no_phone_would_open_is_refused(coreai: Path, older: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bundle needs iOS 27.0, and .*older before it iOS 17.0: no phone"):
        package_bundle(older, "ios", tmp_path / "app", AppOptions(fallback=(coreai,)))
    with pytest.raises(InputError, match=r"no phone would open it"):
        package_bundle(coreai, "ios", tmp_path / "app", AppOptions(fallback=(older, older)))
    assert not (tmp_path / "app").exists()


def test_a_fallback_of_another_build_is_refused(coreai: Path, older: Path, tmp_path: Path) -> None:
    manifest = json.loads((older / "edgepack.json").read_text(encoding="utf-8"))
    (older / "edgepack.json").write_text(json.dumps({**manifest, "labels": ["yes", "no"]}), encoding="utf-8")
    with pytest.raises(InputError, match=r"older has another labels than .*bundle; give a bundle of the same build"):
        package_bundle(coreai, "ios", tmp_path / "app", AppOptions(fallback=(older,)))


def test_a_failed_or_damaged_fallback_is_refused(coreai: Path, older: Path, tmp_path: Path) -> None:
    (older / "onnx" / "model_quantized.onnx").write_bytes(b"other")
    with pytest.raises(CheckFailed, match=r"older: onnx/model_quantized.onnx is not the manifest's file"):
        package_bundle(coreai, "ios", tmp_path / "app", AppOptions(fallback=(older,)))


@pytest.mark.parametrize("app", ["android", "web"])
def test_other_apps_hold_one_bundle(bundle: Path, tmp_path: Path, app: str) -> None:
    with pytest.raises(InputError, match=f"the {app} app holds one bundle; leave --fallback out"):
        package_bundle(bundle, app, tmp_path / "app", AppOptions(fallback=(bundle,)))
