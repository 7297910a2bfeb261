"""The files that a public host and its tools read are what these expect, and agree with the rest of the project."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import edgepack

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FORMS = sorted(path for path in REPOSITORY.glob(".github/ISSUE_TEMPLATE/*.yml") if path.name != "config.yml")
INPUTS = {"checkboxes", "dropdown", "input", "markdown", "textarea"}


def read(path: str) -> Any:
    return yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8"))


def make_commands(target: str) -> list[str]:
    """The commands of a target of the Makefile, as a shell gets them."""
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert found, f"Makefile has no target {target}"
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "RELEASING.md", "CHANGELOG.md", "LICENSE"])
def test_the_project_has_its_pages(name: str) -> None:
    assert (REPOSITORY / name).stat().st_size > 500


def test_citation() -> None:
    """Citation File Format 1.2.0: the required keys, and what the package says itself."""
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    assert citation["version"] == edgepack.__version__
    assert citation["license"] == PROJECT["license"]


def test_the_workflow_runs_what_must_hold() -> None:
    workflow = read(".github/workflows/ci.yml")
    assert set(workflow) >= {"name", True, "jobs"}  # YAML 1.1 reads the key `on` as true
    assert {"push", "pull_request"} <= set(workflow[True])
    (job,) = workflow["jobs"].values()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)
    assert job["timeout-minutes"] <= 90
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert job["container"].startswith(f"python:{lowest}-"), "CI runs the oldest Python that is promised"


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_issue_forms(form: Path) -> None:
    """As the host requires: name, description, body; known kinds of input, each with an id and a label."""
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(content)
    assert {part["type"] for part in content["body"]} <= INPUTS
    asked = [part for part in content["body"] if part["type"] != "markdown"]
    assert all(part["attributes"]["label"] for part in asked)
    ids = [part["id"] for part in asked]
    assert len(set(ids)) == len(ids) > 0


def test_there_are_forms_for_bugs_and_ideas() -> None:
    assert {path.stem for path in FORMS} == {"bug", "idea"}
    assert read(".github/ISSUE_TEMPLATE/config.yml") == {"blank_issues_enabled": False}


def test_hooks_are_the_linters() -> None:
    (local,) = read(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == make_commands("lint")
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in local["hooks"])
    assert {"id", "name", "entry", "language"} <= set.intersection(*(set(hook) for hook in local["hooks"]))


def test_the_linters_are_installed_for_developers() -> None:
    dev = {re.split(r"[<>=!~\[]", name)[0] for name in PROJECT["optional-dependencies"]["dev"]}
    assert {"ruff", "mypy", "import-linter"} <= dev
