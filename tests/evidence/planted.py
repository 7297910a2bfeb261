"""Faults that are planted in a healthy bundle, one at a time, and the check that has to catch each.

    python -m tests.evidence.planted      writes the table in docs/gate.md anew

After a fault is planted the records are mended as somebody would who wants it to pass: `NOT` at all (a disk, a copy),
in the `MANIFEST` alone, or `EVERYWHERE`, the verdict's hashes included. In the last case no hash can show the fault.
`test_planted_faults.py` runs each of them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.tables import markdown_table, write_table
from edgepack.runtime.onnxruntime import load
from edgepack.task.encoded import MODEL_INPUTS
from edgepack.workspace import sha256_file
from tests.evidence.world import TARGET

NOT, MANIFEST, EVERYWHERE = "not", "manifest", "everywhere"
GATE_PAGE = Path(__file__).parents[2] / "docs" / "gate.md"
TABLE_NAME = "planted-faults"
Plant = Callable[[Path], None]


@dataclass(frozen=True)
class Fault:
    """One fault: of which kind, what is done to a copy of the bundle, how the records are mended, what catches it."""

    kind: str
    name: str
    plant: Plant
    mend: str
    caught_by: str

    def into(self, bundle: Path) -> None:
        """Plant it and mend the records."""
        before = {path: sha256_file(bundle / path) for path in files_of(bundle)}
        self.plant(bundle)
        if self.mend == EVERYWHERE:
            mend_verdict(bundle, before)
        if self.mend != NOT:
            mend_manifest(bundle)


def files_of(bundle: Path) -> list[str]:
    """Paths of all files but the manifest."""
    found = (path.relative_to(bundle).as_posix() for path in sorted(bundle.rglob("*")) if path.is_file())
    return [path for path in found if path != "edgepack.json"]


def mend_verdict(bundle: Path, before: dict[str, str]) -> None:
    """Give verdict and card the bytes that ship now, and the verdict the hashes of the files as they are."""
    manifest = read(bundle, "edgepack.json")
    old, now = manifest["shipped_bytes"], shipped_bytes(bundle)
    for name in ("README.md", "verdict.json"):
        path = bundle / name
        if path.is_file():
            path.write_text(path.read_text().replace(str(old), str(now)).replace(f"{old:,}", f"{now:,}"))
    path = bundle / "verdict.json"
    for name, sha256 in before.items():
        if name != path.name and path.is_file() and (bundle / name).is_file():
            path.write_text(path.read_text().replace(sha256, sha256_file(bundle / name)))


def shipped_bytes(bundle: Path) -> int:
    """Bytes of the files that the manifest ships."""
    files = read(bundle, "edgepack.json")["files"]
    paths = [bundle / entry["path"] for entry in files if entry["shipped"]]
    return sum(path.stat().st_size for path in paths if path.is_file())


def mend_manifest(bundle: Path) -> None:
    """Record the files that are there, with what ships as it was."""
    manifest = read(bundle, "edgepack.json")
    ships = {entry["path"]: entry["shipped"] for entry in manifest["files"]}
    manifest["shipped_bytes"] = shipped_bytes(bundle)
    manifest["files"] = [
        {
            "path": path,
            "bytes": (bundle / path).stat().st_size,
            "sha256": sha256_file(bundle / path),
            "shipped": ships.get(path, False),
        }
        for path in files_of(bundle)
    ]
    (bundle / "edgepack.json").write_text(json.dumps(manifest))


def read(bundle: Path, name: str) -> Any:
    """A JSON file."""
    return json.loads((bundle / name).read_text())


def put(name: str, *place: Any, to: Any) -> Plant:
    """Set a value somewhere in a JSON file."""

    def plant(bundle: Path) -> None:
        document = read(bundle, name)
        inner = document
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = to
        (bundle / name).write_text(json.dumps(document))

    return plant


def both(*plants: Plant) -> Plant:
    """One after the other."""

    def plant(bundle: Path) -> None:
        for each in plants:
            each(bundle)

    return plant


def write(name: str, data: bytes) -> Plant:
    """Overwrite or add a file."""

    def plant(bundle: Path) -> None:
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_bytes(data)

    return plant


def remove(name: str) -> Plant:
    """Delete a file."""
    return lambda bundle: (bundle / name).unlink()


def replace(name: str, old: str, new: str, count: int = -1) -> Plant:
    """Replace a piece of text, which must be there; the first `count` times."""

    def plant(bundle: Path) -> None:
        text = (bundle / name).read_text()
        assert old in text, f"{name} holds no {old!r}"
        (bundle / name).write_text(text.replace(old, new, count))

    return plant


def linked(name: str) -> Plant:
    """Move something out of the bundle and leave a link to it."""

    def plant(bundle: Path) -> None:
        outside = bundle.parent / f"outside-{Path(name).name}"
        shutil.move(bundle / name, outside)
        (bundle / name).symlink_to(outside)

    return plant


def record(path: str, /, **values: Any) -> Plant:
    """Change the manifest's record of a file."""

    def plant(bundle: Path) -> None:
        manifest = read(bundle, "edgepack.json")
        next(entry for entry in manifest["files"] if entry["path"] == path).update(values)
        (bundle / "edgepack.json").write_text(json.dumps(manifest))

    return plant


def added(path: str, create: bool = True) -> Plant:
    """A file that the manifest records, under a name that it should not have."""

    def plant(bundle: Path) -> None:
        manifest = read(bundle, "edgepack.json")
        if create:
            (bundle / path).parent.mkdir(parents=True, exist_ok=True)
            (bundle / path).write_bytes(b"x")
        sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        manifest["files"].append({"path": path, "bytes": 1, "sha256": sha256, "shipped": False})
        (bundle / "edgepack.json").write_text(json.dumps(manifest))

    return plant


def renamed(old: str, new: str) -> Plant:
    """A file under another name, here and in the manifest."""

    def plant(bundle: Path) -> None:
        (bundle / old).rename(bundle / new)
        record(old, path=new)(bundle)

    return plant


def goldens(change: Callable[[list[dict[str, Any]]], Any]) -> Plant:
    """Change the goldens in place, or give other ones."""

    def plant(bundle: Path) -> None:
        path = bundle / "golden.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines = change(lines) or lines
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    return plant


def each_golden(**values: Any) -> Plant:
    """Give every golden these values; None removes a key."""

    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            line.update(values)
            for key in [key for key, value in values.items() if value is None]:
                del line[key]

    return goldens(change)


def check(name: str, /, **values: Any) -> Plant:
    """Change one check of the verdict."""

    def plant(bundle: Path) -> None:
        verdict = read(bundle, "verdict.json")
        next(entry for entry in verdict["checks"] if entry["name"] == name).update(values)
        (bundle / "verdict.json").write_text(json.dumps(verdict))

    return plant


def model(change: Callable[[onnx.ModelProto], Any]) -> Plant:
    """Change the ONNX model."""

    def plant(bundle: Path) -> None:
        path = bundle / TARGET.file
        loaded = onnx.load(path)
        change(loaded)
        path.write_bytes(loaded.SerializeToString())

    return plant


def new_goldens(bundle: Path) -> None:
    """Logits and labels of the goldens as the model gives them now."""
    session, labels = load(bundle / TARGET.file), read(bundle, "edgepack.json")["labels"]

    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            logits = session.run({name: np.array([line[name]]) for name in MODEL_INPUTS})[0]
            line["logits"], line["label"] = np.round(logits.astype(float), 4).tolist(), labels[int(logits.argmax())]

    goldens(change)(bundle)


def table() -> str:
    """The Markdown table: kinds of faults, how many are planted, which checks catch them."""
    from tests.evidence.model_faults import MODEL_FAULTS
    from tests.evidence.planted_faults import FAULTS
    from tests.evidence.record_faults import RECORD_FAULTS
    from tests.evidence.score_faults import SCORE_FAULTS
    from tests.evidence.set_faults import SET_FAULTS
    from tests.evidence.vector_faults import VECTOR_FAULTS
    from tests.evidence.window_faults import WINDOW_FAULTS

    every = [*FAULTS, *RECORD_FAULTS, *MODEL_FAULTS, *SET_FAULTS, *WINDOW_FAULTS, *VECTOR_FAULTS, *SCORE_FAULTS]
    rows = [("kind of fault", "planted", "caught by")]
    for kind in dict.fromkeys(fault.kind for fault in every):
        of_kind = [fault for fault in every if fault.kind == kind]
        checks = ", ".join(f"`{name}`" for name in dict.fromkeys(fault.caught_by for fault in of_kind))
        rows.append((kind, str(len(of_kind)), checks))
    return markdown_table([*rows, ("all", str(len(every)), "")])


if __name__ == "__main__":
    write_table(GATE_PAGE, TABLE_NAME, table())
