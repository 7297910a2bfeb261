"""One tiny world and one bundle of it for all tests here; `copy` is a test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgepack.bundle.write import Bundle, write_bundle
from tests.evidence.world import TARGET, World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def bundle(world: World, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("out") / "bundles" / TARGET.name, world.contents())


@pytest.fixture(scope="session")
def set_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of label sets."""
    world = make_world(tmp_path_factory.mktemp("sets"), sets=True)
    return write_bundle(tmp_path_factory.mktemp("out") / "bundles" / TARGET.name, world.contents())


@pytest.fixture(scope="session")
def long_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that reads long texts in windows."""
    world = make_world(tmp_path_factory.mktemp("long"), long=True)
    return write_bundle(tmp_path_factory.mktemp("out") / "bundles" / TARGET.name, world.contents())


@pytest.fixture
def long_copy(long_bundle: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(long_bundle.folder, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def set_copy(set_bundle: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(set_bundle.folder, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    shutil.copytree(bundle.folder, tmp_path / "bundle")
    return tmp_path / "bundle"
