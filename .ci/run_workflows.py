"""Run the steps of docs/ci.md's workflows, as GitHub Actions and GitLab CI would, without either.

    run_workflows.py PAGE BIN FOLDER

Each step is given to `bash -e` in FOLDER, with BIN first on the path. Steps that say `uses:` and `pip install` are left
out, since the environment is there. Afterwards every file that a workflow uploads must exist.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def github(document: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Shell steps and uploaded files of a GitHub workflow."""
    steps = [step for job in document["jobs"].values() for step in job["steps"]]
    uploads = [step["with"]["path"].split() for step in steps if "upload-artifact" in step.get("uses", "")]
    return [step["run"] for step in steps if "run" in step], [name for names in uploads for name in names]


def gitlab(document: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Shell steps and kept files of a GitLab pipeline."""
    steps, files = [], []
    for job in document.values():
        steps += job["script"]
        files += [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]
    return steps, files


def main() -> int:
    page, binaries, folder = (Path(argument).resolve() for argument in sys.argv[1:])
    documents = [yaml.safe_load(block) for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    workflows = [github(d) if "jobs" in d else gitlab(d) for d in documents]
    if len(workflows) != 2 or not all(steps and files for steps, files in workflows):
        print(f"{page}: {len(workflows)} workflows with steps and files; 2 are expected")
        return 1
    summary = folder / "summary.md"
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(summary)}
    for steps, files in workflows:
        for name in files:
            (folder / name).unlink(missing_ok=True)
        for step in steps:
            if step.startswith("pip install"):
                continue
            print(f"$ {step.strip()}", flush=True)
            subprocess.run(["bash", "-e", "-c", step], cwd=folder, env=environment, check=True)
        missing = [name for name in files if not (folder / name).is_file()]
        if missing:
            print(f"not written: {missing}")
            return 1
    return 0 if "edgepack gate: passed" in summary.read_text(encoding="utf-8") else 1


if __name__ == "__main__":
    sys.exit(main())
