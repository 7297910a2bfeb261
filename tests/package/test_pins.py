"""The versions of the sample apps: one table, which the apps' files, the targets and packaging agree with."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.bundle.growth import RuntimeSize, load_sizes
from edgepack.bundle.manifest import load_manifest, write_model
from edgepack.errors import InputError
from edgepack.package import APPS, AppOptions, package_bundle
from edgepack.package.pins import Pin, load_pins, numbers, runtime_pin
from edgepack.package.template import checkout
from edgepack.target import list_targets, load_target
from tests.pages import REPOSITORY

SYSTEM = {"coreml", "coreai"}  # runtimes that are part of the system
# gradle-wrapper.jar of Gradle 9.4.1, as Gradle publishes it
WRAPPER = "55243ef57851f12b070ad14f7f5bb8302daceeebc5bce5ece5fa6edb23e1145c"


@pytest.mark.parametrize("pin", load_pins(), ids=lambda pin: f"{pin.app}: {pin.name}")
def test_a_pin_is_what_the_apps_file_says(pin: Pin) -> None:
    text = (checkout() / pin.app / pin.file).read_text(encoding="utf-8")
    lines = re.findall(re.escape(pin.line).replace(r"\{\}", r'([^;"]+?)'), text)
    assert set(lines) == {pin.version}, f"{pin.file} has {lines}"
    assert numbers(pin.version) <= numbers(pin.newest)


def test_no_version_of_an_app_is_left_out() -> None:
    written = {pin.written for pin in load_pins()}
    catalog = tomllib.loads((checkout() / "android/gradle/libs.versions.toml").read_text())
    unlisted = {name for name, version in catalog["versions"].items() if f'{name} = "{version}"' not in written}
    assert unlisted == {"minSdk", "junit"}  # the oldest Android, and what tests alone need


def test_a_runtime_is_at_least_the_targets_minimum() -> None:
    """Every target of an app: oldest version that runs its files <= the app's <= the newest known."""
    seen = 0
    for name in list_targets():
        target = load_target(name)
        if target.device not in APPS or target.runtime not in import_module(APPS[target.device]).RUNTIMES:
            continue
        pin = runtime_pin(target.device, target.runtime)
        if pin is None:
            assert target.runtime in SYSTEM, f"{name}: nothing pins {target.runtime}"
            continue
        seen += 1
        assert numbers(target.runtime_min_version) <= numbers(pin.version) <= numbers(pin.newest), name
    assert seen >= 6


def test_the_android_app_asks_for_no_older_android_than_its_runtimes_do() -> None:
    catalog = tomllib.loads((checkout() / "android/gradle/libs.versions.toml").read_text())
    needed = {pin.name: pin.min_sdk for pin in load_pins() if pin.app == "android" and pin.runtimes}
    assert len(needed) >= 4
    oldest = int(catalog["versions"]["minSdk"])
    assert all(found is not None and found <= oldest for found in needed.values()), needed
    assert all(bool(pin.min_sdk_from) == (pin.min_sdk is not None) for pin in load_pins())


@pytest.mark.parametrize("size", load_sizes(), ids=lambda size: f"{size.device}: {size.library}")
def test_a_size_is_of_the_version_that_the_app_links(size: RuntimeSize) -> None:
    for runtime in size.runtimes:
        pin = runtime_pin(size.device, runtime)
        if size.registry == "system":
            assert (pin, size.bytes) == (None, 0)
        elif size.device in APPS:
            assert pin is not None
            assert (pin.name, pin.version) == (size.library, size.version)
        else:  # no app: what the tests run
            assert f"{size.package}=={size.version}" in (REPOSITORY / "constraints.txt").read_text().splitlines()


def test_a_size_is_measured_and_found_once() -> None:
    for size in load_sizes():
        assert size.registry == "system" or (size.files and 0 < size.gzip_bytes < size.bytes)
    found = [(size.device, runtime) for size in load_sizes() for runtime in size.runtimes]
    assert len(found) == len(set(found))
    targets = {(load_target(name).device, load_target(name).runtime) for name in list_targets()}
    assert {(device, runtime) for device, runtime in found if device != "web"} <= targets  # web's app runs both


def test_a_bundle_that_is_newer_than_the_apps_runtime_is_refused(bundle: Path, tmp_path: Path) -> None:
    manifest = load_manifest(bundle)
    for app in ("android", "ios", "web"):
        pin = runtime_pin(app, "onnxruntime")
        assert pin is not None
        package_bundle(bundle, app, tmp_path / app, AppOptions())
        runtime = manifest.runtime.model_copy(update={"min_version": f"{pin.version}.1"})
        write_model(bundle / "edgepack.json", manifest.model_copy(update={"runtime": runtime}))
        with pytest.raises(InputError, match=f"needs onnxruntime {pin.version}.1 or newer; the {app} app links"):
            package_bundle(bundle, app, tmp_path / f"{app}-newer", AppOptions())
        assert not (tmp_path / f"{app}-newer").exists()
        write_model(bundle / "edgepack.json", manifest)


def test_the_wrapper_is_gradles_own_and_fetches_the_pinned_gradle(bundle: Path, tmp_path: Path) -> None:
    package_bundle(bundle, "android", tmp_path / "app", AppOptions())
    wrapper = tmp_path / "app/gradle/wrapper"
    assert hashlib.sha256((wrapper / "gradle-wrapper.jar").read_bytes()).hexdigest() == WRAPPER
    lines = dict(line.split("=", 1) for line in (wrapper / "gradle-wrapper.properties").read_text().splitlines())
    assert re.fullmatch("[0-9a-f]{64}", lines["distributionSha256Sum"])
    assert os.access(tmp_path / "app/gradlew", os.X_OK)


def test_no_module_asks_for_a_kotlin_plugin_that_the_android_plugin_has_built_in() -> None:
    scripts = list((checkout() / "android").rglob("*.gradle.kts"))
    assert len(scripts) >= 7
    for path in scripts:
        assert "kotlin.android" not in path.read_text(), path


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_versions_compare_as_numbers(first: list[int], second: list[int]) -> None:
    def padded(parts: list[int]) -> list[int]:
        return parts + [0] * (4 - len(parts))

    texts = [".".join(map(str, parts)) for parts in (first, second)]
    assert (numbers(texts[0]) < numbers(texts[1])) == (padded(first) < padded(second))
    assert numbers("iOS 18") == numbers("18.0") < numbers("26")
