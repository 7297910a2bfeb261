"""Export to LiteRT: the graph of `litert_encoder.py`, filled with the student's weights, written whole or not at all.

Written by this project itself, not converted: a converter rounds weights by scales of its own, brings JAX (0.6 GB), and
fixes the input's length. The file holds no time, path or version, so the same student gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from edgepack.export import Artifact
from edgepack.export.litert_encoder import LitertEncoder
from edgepack.export.support import check_operators, check_student
from edgepack.export.tflite_file import TfliteGraph, write_tflite
from edgepack.student.model import Student
from edgepack.target import Target
from edgepack.workspace import write_atomic


def export_litert(student: Student, target: Target, folder: Path) -> Artifact:
    """Write `folder/<target.file>` with weights at the bit widths of the student's config."""
    check_student(student, target)
    graph = LitertEncoder(student.config, student).graph
    check_operators(first_nodes(graph), target)
    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, write_tflite(graph))
    return Artifact(target, path, path.stat().st_size, graph.operators())


def first_nodes(graph: TfliteGraph) -> dict[str, str]:
    """Each operator with the name of what its first node computes."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        found.setdefault(node.operator, graph.tensors[node.outputs[0]].name)
    return found
