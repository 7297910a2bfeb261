"""The Android project: what packaging fills in, and that Android would take it."""

from __future__ import annotations

import re
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgepack.bundle.manifest import load_manifest
from edgepack.errors import InputError
from edgepack.package import AppOptions, package_bundle
from edgepack.package.android import MODULES, android_string
from edgepack.package.project import SERVED
from edgepack.package.template import checkout
from tests.apps.kotlin.checks import Checker
from tests.apps.kotlin.toolchain import default_toolchain
from tests.package.conftest import SHIPPED

ANDROID, TOOLS = "{http://schemas.android.com/apk/res/android}", "{http://schemas.android.com/tools}"
OPTIONS = AppOptions("My app", "com.example.my_app")
MAIN = Path("app/src/main")


@pytest.fixture
def package(bundle: Path, tmp_path: Path) -> Callable[..., Path]:
    """Packages the ONNX bundle, or another one."""

    def make(options: AppOptions = OPTIONS, source: Path = bundle) -> Path:
        package_bundle(source, "android", tmp_path / "app", options, force=True)
        return tmp_path / "app"

    return make


def manifest_of(project: Path) -> ElementTree.Element:
    """The app's AndroidManifest.xml."""
    return ElementTree.parse(project / MAIN / "AndroidManifest.xml").getroot()


def permissions(project: Path, node: str | None = None) -> list[str]:
    """Those that the app asks for; with `node` "remove" those that it keeps out of what libraries ask for."""
    found = [each for each in manifest_of(project).iter("uses-permission") if each.get(f"{TOOLS}node") == node]
    return [element.attrib[f"{ANDROID}name"] for element in found]


def strings(project: Path) -> dict[str, str]:
    """The app's string resources, still escaped as Android has them."""
    files = (project / MAIN / "res/values").glob("*.xml")
    elements = [element for path in files for element in ElementTree.parse(path).getroot().iter("string")]
    return {element.attrib["name"]: element.text or "" for element in elements}


def texts(project: Path) -> dict[str, str]:
    """All text files of the project but the bundle's own."""
    own = [
        p for p in project.rglob("*") if p.is_file() and not {"assets", "golden"} & set(p.parts) and p.suffix != ".jar"
    ]
    return {path.relative_to(project).as_posix(): path.read_text(encoding="utf-8") for path in own}


def test_every_xml_file_is_well_formed(package: Callable[..., Path]) -> None:
    for options in (OPTIONS, AppOptions(download_url="http://10.0.2.2:8000/m")):
        files = list(package(options).rglob("*.xml"))
        assert len(files) > 7
        for path in files:
            ElementTree.parse(path)


def test_no_default_is_left(package: Callable[..., Path]) -> None:
    for name, text in texts(package()).items():
        assert "dev.edgepack.sample" not in text, name
        assert not re.search(r"edgepack[ -]sample", text), name


def test_name_and_id_stand_where_android_reads_them(package: Callable[..., Path]) -> None:
    project = package()
    assert 'applicationId = "com.example.my_app"' in (project / "app/build.gradle.kts").read_text()
    assert strings(project)["app_name"] == "My app"
    application = manifest_of(project).find("application")
    assert application is not None
    assert application.attrib[f"{ANDROID}label"] == "@string/app_name"


NAMES = ['Bob\'s "x"', "<b> & </b>", "@home", "?attr", "back\\slash", "two  spaces", "名前 é"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_reaches_the_launcher_as_it_is(package: Callable[..., Path], name: str) -> None:
    escaped = strings(package(AppOptions(name, "com.example.app")))["app_name"]
    unescaped = re.sub(r"\\u0020", " ", escaped)
    assert re.sub(r"\\(.)", r"\1", unescaped) == name
    assert not re.search(r"""(^|[^\\])['"]""", escaped)
    assert escaped[0] not in "@?"


def test_the_escapes_of_a_string_resource() -> None:
    assert android_string("@a'b") == "\\@a\\'b"
    assert android_string("a & b  c") == "a &amp; b\\u0020\\u0020c"


@pytest.mark.parametrize("application_id", ["com.example.my-app", "com.ex-ample.app"])
def test_an_id_that_android_refuses(package: Callable[..., Path], application_id: str) -> None:
    with pytest.raises(InputError, match="Android allows letters, digits and _"):
        package(AppOptions("x", application_id))


def test_there_is_no_permission_unless_the_model_is_downloaded(package: Callable[..., Path]) -> None:
    assert permissions(package()) == permissions(package(), "remove") == []
    assert strings(package())["model_folder_url"] == ""
    project = package(AppOptions(download_url="https://models.example.com/1"))
    assert permissions(project) == ["android.permission.INTERNET"]
    assert strings(project)["model_folder_url"] == "https://models.example.com/1"
    assert not list(project.rglob("network_security_config.xml"))
    assert "networkSecurityConfig" not in (project / MAIN / "AndroidManifest.xml").read_text()


def test_the_permissions_of_litert_are_kept_out(make_bundle: Callable[..., Path], package: Callable[..., Path]) -> None:
    source = make_bundle({"model.tflite": b"model", "tokenizer.bin": b"words"}, target="android-litert")
    unused = ["android.permission.FOREGROUND_SERVICE", "android.permission.FOREGROUND_SERVICE_DATA_SYNC"]
    for url, wanted in ((None, []), ("https://models.example.com/1", ["android.permission.INTERNET"])):
        project = package(AppOptions(download_url=url), source)
        assert permissions(project) == wanted
        assert permissions(project, "remove") == unused


def test_the_runtimes_tests_have_a_model_where_the_app_fetches_its_own(package: Callable[..., Path]) -> None:
    project = package(AppOptions(download_url="https://models.example.com/1"))
    (script,) = (path.read_text() for path in project.glob("runtime-onnx/build.gradle.kts"))
    assert f'rootDir.resolve("{SERVED}")' in script
    manifest = load_manifest(project / SERVED)
    shipped = [file.path for file in manifest.files if file.shipped]
    assert {path: (project / SERVED / path).read_bytes() for path in shipped} == SHIPPED
    assert f"include({SERVED}" not in (project / "settings.gradle.kts").read_text()  # no module, so not in the app
    assert f"`{SERVED}/` has the model for your server" in (project / "README.md").read_text()
    assert not (package() / SERVED).exists()


def test_plain_http_is_allowed_to_the_named_host_only(package: Callable[..., Path]) -> None:
    project = package(AppOptions(download_url="http://10.0.2.2:8000/m"))
    config = ElementTree.parse(project / MAIN / "res/xml/network_security_config.xml").getroot()
    assert [element.text for element in config.iter("domain")] == ["10.0.2.2"]
    application = manifest_of(project).find("application")
    assert application is not None
    assert application.attrib[f"{ANDROID}networkSecurityConfig"] == "@xml/network_security_config"


@pytest.mark.parametrize(
    ("target", "model", "module"),
    [("android-onnx", "onnx/model_quantized.onnx", "onnx"), ("android-torchscript", "model.ptl", "pytorch")],
)
def test_the_bundles_runtime_is_the_only_one(
    make_bundle: Callable[..., Path], package: Callable[..., Path], target: str, model: str, module: str
) -> None:
    project = package(source=make_bundle({model: b"model", "tokenizer.bin": b"words"}, target=target))
    assert [path.name for path in project.glob("runtime-*")] == [f"runtime-{module}"]
    assert f"edgepack.runtime={module}\n" in (project / "gradle.properties").read_text()
    suffix = model.rsplit(".", maxsplit=1)[-1]
    assert f'noCompress += listOf("{suffix}")' in (project / "app/build.gradle.kts").read_text()
    assert (project / MAIN / "assets" / model).read_bytes() == b"model"
    source = (project / f"runtime-{module}/src/main/kotlin/dev/edgepack/runtime/PackagedRuntime.kt").read_text()
    runtime = next(name for name, value in MODULES.items() if value == module)
    assert f'override val id = "{runtime}"' in source


def test_goldens_are_test_resources_and_not_in_the_app(package: Callable[..., Path]) -> None:
    project = package()
    goldens = project / "core/src/test/resources/golden"
    assert sorted(path.name for path in goldens.iterdir()) == ["edgepack.json", "golden.jsonl", "tokenizer.bin"]
    assert (goldens / "tokenizer.bin").read_bytes() == SHIPPED["tokenizer.bin"]
    assert list((project / "app").rglob("golden*")) == [project / "app/src/androidTest/assets/golden.jsonl"]
    page = (project / "README.md").read_text()
    assert "  com.example.my_app.test/androidx.test.runner.AndroidJUnitRunner\n" in page
    assert "adb pull /sdcard/Android/data/com.example.my_app/files/device-report.json\n" in page
    (named,) = re.findall(r"-e class (\S+) \\\n", page)
    assert (project / "app/src/androidTest/kotlin" / f"{named.replace('.', '/')}.kt").is_file()


def test_versions_are_exact_and_every_alias_is_defined(package: Callable[..., Path]) -> None:
    project = package()
    catalog = tomllib.loads((project / "gradle/libs.versions.toml").read_text())
    for name, version in catalog["versions"].items():
        assert re.fullmatch(r"\d+(\.\d+)*", version), name
    scripts = "\n".join(path.read_text() for path in project.rglob("*.gradle.kts"))
    used = {alias.replace(".", "-") for alias in re.findall(r"\blibs\.([a-z][A-Za-z0-9.]*)\b", scripts)}
    defined = {f"plugins-{name}" for name in catalog["plugins"]} | {f"versions-{n}-get" for n in catalog["versions"]}
    assert used - {"versions-toml"} <= defined | set(catalog["libraries"])
    for entry in [*catalog["libraries"].values(), *catalog["plugins"].values()]:
        assert entry.get("version", {}).get("ref", "agp") in catalog["versions"]


def test_the_native_code_is_safe_and_quiet(package: Callable[..., Path]) -> None:
    project = package()
    assert "useLegacyPackaging = false" in (project / "app/build.gradle.kts").read_text()
    rules = (project / "runtime-onnx/consumer-rules.pro").read_text()
    assert "-keep class ai.onnxruntime.** { *; }" in rules
    runtime = (project / "runtime-onnx/src/main/kotlin/dev/edgepack/runtime/PackagedRuntime.kt").read_text()
    assert runtime.index("switchTelemetryOff()") < runtime.index("OrtEnvironment.getEnvironment()")
    assert 'Os.setenv("ORT_DISABLE_TELEMETRY", "1", true)' in runtime


@pytest.mark.parametrize("module", ["executorch", "pytorch"])
def test_r8_is_told_of_the_class_that_fbjni_does_not_bring(module: str) -> None:
    rules = (checkout() / f"android/runtime-{module}/consumer-rules.pro").read_text().splitlines()
    assert "-dontwarn javax.annotation.Nullable" in rules
    assert "-keep class com.facebook.jni.** { *; }" in rules


def test_nothing_is_backed_up_or_transferred(package: Callable[..., Path]) -> None:
    project = package()
    application = manifest_of(project).find("application")
    assert application is not None
    assert application.attrib[f"{ANDROID}allowBackup"] == "false"
    assert application.attrib[f"{ANDROID}dataExtractionRules"] == "@xml/data_extraction_rules"
    rules = ElementTree.parse(project / MAIN / "res/xml/data_extraction_rules.xml").getroot()
    for way in ("cloud-backup", "device-transfer"):
        excluded = {element.attrib["domain"] for element in rules.findall(f"{way}/exclude")}
        assert excluded == {"root", "file", "database", "sharedpref", "external"}, way


def test_strings_are_given_the_arguments_that_they_take(package: Callable[..., Path]) -> None:
    project = package()
    wanted = {name: len(set(re.findall(r"%(\d+)\$", text))) for name, text in strings(project).items()}
    source = "\n".join(path.read_text() for path in (project / MAIN / "kotlin").rglob("*.kt"))
    used = re.findall(r"stringResource\(\s*R\.string\.(\w+)", source)
    assert set(used) | {"app_name", "model_folder_url", "search_examples", "vector_form"} == set(wanted)
    for match in re.finditer(r"stringResource\(\s*R\.string\.(\w+)", source):
        assert argument_count(source[match.end() :]) == wanted[match.group(1)], match.group(1)


def argument_count(rest: str) -> int:
    """How many arguments follow the first one, up to the bracket that closes the call."""
    depth, count, given = 0, 0, ""
    for char in rest:
        if char == ")" and depth == 0:
            break
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            count, given = count + bool(given.strip()), ""
        else:
            given += char
    return count + bool(given.strip())


def test_packaging_is_quick(package: Callable[..., Path]) -> None:
    started = time.process_time()
    package()
    assert time.process_time() - started < 5


@pytest.mark.needs_android_tools
def test_androids_own_tool_takes_the_manifest_and_the_resources(
    package: Callable[..., Path], tmp_path: Path, android_tools: Path
) -> None:
    """All but an attribute of Android 12, which Debian's framework is older than."""
    main = package(AppOptions('Bob\'s "x" & <b>', "com.example.app", "http://10.0.2.2:8000/m")) / MAIN
    manifest, compiled, app = tmp_path / "AndroidManifest.xml", tmp_path / "res.zip", tmp_path / "app.apk"
    text = (main / "AndroidManifest.xml").read_text().replace("<manifest ", '<manifest package="com.example.app" ')
    manifest.write_text(text.replace('        android:dataExtractionRules="@xml/data_extraction_rules"\n', ""))
    versions = ["--min-sdk-version", "26", "--target-sdk-version", "36"]
    for command in (
        ["compile", "--dir", main / "res", "-o", compiled],
        ["link", "-o", app, "--manifest", manifest, "-I", android_tools, compiled, *versions],
        ["dump", "badging", app],
    ):
        done = subprocess.run(["aapt2", *map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert re.findall(r"uses-permission: name='(\S+)'", done.stdout) == ["android.permission.INTERNET"]
    label = done.stdout.replace('\\"', '"')  # as the tool prints it
    assert "application-label:'Bob's \"x\" & <b>'" in label


@pytest.mark.slow
@pytest.mark.needs_java
@pytest.mark.skipif(default_toolchain().missing() is not None, reason=str(default_toolchain().missing()))
def test_the_packaged_project_compiles(package: Callable[..., Path], tmp_path: Path) -> None:
    project = package(AppOptions("Any 'name'", "com.example.app", "https://models.example.com/1"))
    (tmp_path / "work").mkdir()
    checker = Checker(default_toolchain(), project, tmp_path / "work")
    assert checker.runtime_names() == ["onnx"]
    assert checker.app().is_file()


def test_facts_are_words_and_no_keys(package: Callable[..., Path]) -> None:
    facts = next(package().rglob("ModelFacts.kt")).read_text(encoding="utf-8")
    assert "shown(metric.name)" in facts
    assert facts.count("metric.name") == 1
    assert "Fact(stringResource(R.string.fact_score), shown(manifest.labels.first()))" in facts
