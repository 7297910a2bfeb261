"""Packaging: checked against the manifest, refused where an app could not be exact, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.bundle.manifest import FileRecord
from edgepack.errors import CheckFailed, InputError
from edgepack.package import APPS, AppOptions, package_bundle
from edgepack.target import list_targets, load_target
from tests.package.conftest import SHIPPED, write_manifest

OPTIONS = AppOptions()


def find(folder: Path, name: str) -> Path:
    """The one file of this name, at whatever place the app wants its assets."""
    found = [path for path in folder.rglob(name) if "golden" not in path.parts]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("app", sorted(APPS))
def test_the_project_holds_the_shipped_files_the_manifest_and_a_page(bundle: Path, tmp_path: Path, app: str) -> None:
    packaged = package_bundle(bundle, app, tmp_path / "app", AppOptions("My app", "com.example.app"))
    assert set(packaged.files) == {
        path.relative_to(tmp_path / "app").as_posix() for path in (tmp_path / "app").rglob("*") if path.is_file()
    }
    for name, data in SHIPPED.items():
        assert find(tmp_path / "app", Path(name).name).read_bytes() == data
    assert find(tmp_path / "app", "edgepack.json").read_bytes() == (bundle / "edgepack.json").read_bytes()
    page = (tmp_path / "app" / "README.md").read_text()
    assert page.startswith("# My app\n")
    assert "`com.example.app`" in page
    for part in ("## Build and run", "## Verified", "## Not verified", "verdict passed", "accuracy 0.9000 on 10"):
        assert part in page
    assert f"## What the app grows by\n\nWith these files {packaged.growth.describe()}.\n" in page
    assert packaged.to_record()["growth"]["own_bytes"] == sum(map(len, SHIPPED.values()))


def test_a_model_that_is_fetched_is_not_in_the_growth(bundle: Path, tmp_path: Path) -> None:
    options = AppOptions(download_url="https://example.com/1")
    packaged = package_bundle(bundle, "web", tmp_path / "app", options)
    assert packaged.growth.own_bytes == len(SHIPPED["tokenizer.bin"])
    assert "5 bytes of tokenizer (the model, 5 bytes, is fetched)" in packaged.growth.describe()


def test_every_target_of_a_device_with_an_app_is_packaged_or_named(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    refused = set()
    for name in list_targets():
        target = load_target(name)
        if target.device in APPS:
            model = f"{target.file}/a" if target.format in ("coreml", "coreai") else target.file  # a folder, or a file
            bundle = make_bundle({model: b"model", "tokenizer.bin": b"words"}, target=name)
            try:
                package_bundle(bundle, target.device, tmp_path / name, AppOptions())
            except InputError:
                refused.add(name)
    assert refused == {"ios-executorch", "ios-torchscript"}  # as docs/ios.md says


@pytest.mark.parametrize("app", sorted(APPS))
def test_a_downloaded_model_is_left_out(bundle: Path, tmp_path: Path, app: str) -> None:
    url = "https://models.example.com/1/"
    package_bundle(bundle, app, tmp_path / "app", AppOptions(download_url=url))
    inside = tmp_path / "app" / {"android": "app", "ios": "assets", "web": ""}[app]
    assert not list(inside.rglob("model_quantized.onnx"))  # beside that is what goes to the server
    assert find(inside, "tokenizer.bin").read_bytes() == SHIPPED["tokenizer.bin"]
    page = (tmp_path / "app" / "README.md").read_text()
    assert "`https://models.example.com/1/onnx/model_quantized.onnx`" in page


def test_a_failed_verdict_is_refused_and_said_where_it_is_forced(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = make_bundle(passed=False)
    with pytest.raises(CheckFailed, match=r"its verdict did not pass \(accuracy failed.*--force-failed"):
        package_bundle(bundle, "web", tmp_path / "app", OPTIONS)
    assert not (tmp_path / "app").exists()
    package_bundle(bundle, "web", tmp_path / "app", OPTIONS, force_failed=True)
    assert "**The bundle's verdict did not pass** (accuracy failed)" in (tmp_path / "app" / "README.md").read_text()


@pytest.mark.parametrize("name", ["tokenizer.bin", "golden.jsonl", "verdict.json"])
def test_a_file_that_is_not_the_manifests_is_a_failed_check_and_leaves_nothing(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[:-1] + b"!")
    with pytest.raises(CheckFailed, match=f"{name} is not the manifest's file"):
        package_bundle(bundle, "android", tmp_path / "app", OPTIONS)
    (bundle / name).unlink()
    with pytest.raises(CheckFailed, match=f"{name} is missing"):
        package_bundle(bundle, "android", tmp_path / "app", OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname"])
def test_a_manifest_cannot_reach_outside_its_bundle(bundle: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(b"model")
    outside = FileRecord(path=path, bytes=5, sha256="0" * 64, shipped=True)
    write_manifest(bundle, [outside, FileRecord(path="tokenizer.bin", bytes=5, sha256="0" * 64, shipped=True)])
    with pytest.raises(CheckFailed, match="outside the bundle"):
        package_bundle(bundle, "android", tmp_path / "app", OPTIONS)


def test_a_folder_in_use_is_kept_unless_forced(bundle: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "mine").write_text("x")
    neighbour = tmp_path / ".app.settings"
    neighbour.mkdir()
    with pytest.raises(InputError, match="is not empty"):
        package_bundle(bundle, "android", app, OPTIONS)
    assert (app / "mine").exists()
    package_bundle(bundle, "android", app, OPTIONS, force=True)
    assert not (app / "mine").exists()
    assert find(app, "tokenizer.bin").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".app.settings", "app", "bundle"]


@pytest.mark.parametrize("broken", ["copyfile", "rename"])
def test_a_forced_packaging_that_fails_loses_nothing(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "mine").write_text("x")
    rename = os.rename

    def fail(source: Path, destination: Path, **_: object) -> None:
        if broken == "rename" and not str(source).endswith(".tmp"):
            rename(source, destination)
            return
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((shutil, "copyfile") if broken == "copyfile" else (os, "rename")), fail)
    with pytest.raises(OSError, match="No space left"):  # the command says how much room there is
        package_bundle(bundle, "android", app, OPTIONS, force=True)
    assert (app / "mine").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "bundle"]


def test_never_over_the_bundle_or_the_current_folder(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for output in (bundle, tmp_path, Path(), Path("..")):
        with pytest.raises(InputError, match="holds the current folder or the bundle"):
            package_bundle(bundle, "web", output, OPTIONS, force=True)
    assert (bundle / "edgepack.json").exists()
    with pytest.raises(InputError, match="lies in the bundle"):  # whose gate would find files that are not its own
        package_bundle(bundle, "web", bundle / "site", OPTIONS)
    assert not (bundle / "site").exists()


def test_what_cannot_be_packaged_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="allowed: android, ios, web"):
        package_bundle(bundle, "toaster", tmp_path / "app", OPTIONS)
    with pytest.raises(InputError, match="is no bundle"):
        package_bundle(tmp_path, "web", tmp_path / "app", OPTIONS)
    with pytest.raises(InputError, match="is a file"):
        package_bundle(bundle, "web", bundle / "tokenizer.bin", OPTIONS)


def test_a_runtime_that_the_app_has_no_code_for(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = make_bundle({"model.ptl": b"model", "tokenizer.bin": b"words"}, target="android-torchscript")
    with pytest.raises(InputError, match="is for pytorch-lite; the web app runs onnxruntime"):
        package_bundle(bundle, "web", tmp_path / "app", OPTIONS)


@pytest.mark.parametrize("app", sorted(APPS))
def test_a_tokenizer_that_the_cores_do_not_reproduce(
    make_bundle: Callable[..., Path], tmp_path: Path, app: str
) -> None:
    bundle = make_bundle({"onnx/model_quantized.onnx": b"model", "tokenizer.json": b"{}"})
    with pytest.raises(CheckFailed, match=r"ships .*tokenizer.json and no tokenizer.bin"):
        package_bundle(bundle, app, tmp_path / "app", OPTIONS)
    assert not (tmp_path / "app").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (AppOptions(name=" "), "name is"),
        (AppOptions(name="two\nlines"), "name is"),
        (AppOptions(name="x" * 51), "name is"),
        (AppOptions(application_id="sample"), "application id"),
        (AppOptions(application_id="com.1st.app"), "application id"),
        (AppOptions(application_id="com.example.app; rm"), "application id"),
        (AppOptions(download_url="http://example.com/m"), "download URL"),
        (AppOptions(download_url="https://example.com/m?x=1"), "download URL"),
        (AppOptions(download_url="https://example.com/ m"), "download URL"),
        (AppOptions(download_url="file:///etc"), "download URL"),
        (AppOptions(download_url="https://"), "download URL"),
    ],
)
def test_options_that_no_app_can_have(bundle: Path, tmp_path: Path, options: AppOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        package_bundle(bundle, "web", tmp_path / "app", options)
