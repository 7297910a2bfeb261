"""What the package asks pip for: a light base, the extra `build`, versions that were tried."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from edgepack.machine.extras import BUILD_PACKAGES, INSTALL_BUILD

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}
BASE = [Requirement(line) for line in PROJECT["dependencies"]]
PINS = dict(
    line.split("==")
    for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").lower().splitlines()
    if "==" in line and not line.startswith("#")
)
PAGE = (REPOSITORY / "docs" / "install.md").read_text(encoding="utf-8")


def test_the_base_brings_nothing_of_the_extra_build() -> None:
    build = {requirement.name for requirement in EXTRAS["build"]}
    assert set(BUILD_PACKAGES) <= build
    assert build.isdisjoint(requirement.name for requirement in BASE)


def test_who_develops_builds_too() -> None:
    assert "build" in {extra for requirement in EXTRAS["dev"] for extra in requirement.extras}


@pytest.mark.parametrize("requirement", [*BASE, *EXTRAS["build"]], ids=lambda requirement: requirement.name)
def test_each_dependency_is_pinned_to_a_version_that_it_allows(requirement: Requirement) -> None:
    assert Version(PINS[requirement.name]) in requirement.specifier


def test_torch_is_a_range_in_the_metadata_and_exact_in_the_constraints_alone() -> None:
    (torch,) = (requirement for requirement in EXTRAS["build"] if requirement.name == "torch")
    assert {specifier.operator for specifier in torch.specifier} == {">=", "<"}
    texts = [path for pattern in ("Makefile", "*.toml", ".ci/run", "docs/*.md") for path in REPOSITORY.glob(pattern)]
    assert [path.name for path in texts if "torch==" in path.read_text(encoding="utf-8")] == []


def test_the_page_says_the_range_and_the_line() -> None:
    (torch,) = (str(requirement.specifier) for requirement in EXTRAS["build"] if requirement.name == "torch")
    oldest, first_refused = re.search(r">=2\.(\d+)", torch), re.search(r"<2\.(\d+)", torch)
    assert oldest
    assert first_refused
    assert f"PyTorch 2.{oldest[1]} to 2.{int(first_refused[1]) - 1}" in PAGE
    assert f'"torch<2.{first_refused[1]}" --index-url' in PAGE
    assert f"`{INSTALL_BUILD}`" in PAGE
