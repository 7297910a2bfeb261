"""A bill of materials of a bundle: CycloneDX 1.6 JSON, with the model card that its machine-learning part asks for.

It names the model with its hash, the teacher that it was made from with its licence, every file, and the runtime that
the app needs. The same bundle gives the same document. The package comes with the extra `release`; it has no class for
a model card yet, so that part is written here, after the same specification (ECMA-424).
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from edgepack.bundle.manifest import MANIFEST_NAME, BundleManifest, artifact_sha256, load_manifest
from edgepack.errors import InputError
from edgepack.machine.extras import import_package
from edgepack.workspace import refuse_inside, sha256_file, write_output

NAMESPACE = uuid.UUID("6a4b1f0e-52b5-5d0e-9f07-0d7f3f3c9a51")  # of serial numbers made from a manifest's hash
MODEL_REF, WHAT = "model", "a bill of materials"


def bill_of_materials(folder: Path) -> bytes:
    """CycloneDX JSON of the bundle in `folder`."""
    manifest = load_manifest(folder)
    bom = import_package("cyclonedx.model.bom", WHAT)
    output = import_package("cyclonedx.output.json", WHAT)
    model = model_component(manifest)
    parts = [runtime_component(manifest), *file_components(manifest)]
    try:
        created = datetime.fromisoformat(manifest.created)
    except ValueError as e:
        raise InputError(f"{folder / MANIFEST_NAME}: created is {manifest.created!r}, no time; build again") from e
    document = bom.Bom(
        serial_number=uuid.uuid5(NAMESPACE, sha256_file(folder / MANIFEST_NAME)),
        metadata=bom.BomMetaData(component=model, timestamp=created, tools=edgepack_tool(manifest)),
        components=parts,
    )
    document.register_dependency(model, parts)
    record = json.loads(output.JsonV1Dot6(document).output_as_string())
    record["metadata"]["component"]["modelCard"] = model_card_record(manifest)
    return (json.dumps(record, ensure_ascii=False, indent=2) + "\n").encode()


def write_bill_of_materials(folder: Path, output: Path) -> None:
    """Write the bundle's bill of materials to the file `output`, which must not be in the bundle."""
    refuse_inside(output, folder, "the bundle")
    write_output(output, bill_of_materials(folder))


def model_component(manifest: BundleManifest) -> Any:
    """The model, and as its ancestor the teacher."""
    component = import_package("cyclonedx.model.component", WHAT)
    licences = teacher_licences(manifest)
    kind, digest = component.ComponentType.MACHINE_LEARNING_MODEL, artifact_sha256(manifest)
    teacher = component.Component(
        name=manifest.teacher.name,
        type=kind,
        bom_ref="teacher",
        hashes=[sha256(manifest.teacher.sha256)],
        licenses=licences,
    )
    return component.Component(
        name=f"{manifest.teacher.name} for {manifest.target}",
        version=digest[:16],
        type=kind,
        bom_ref=MODEL_REF,
        hashes=[sha256(digest)],
        licenses=licences,
        pedigree=component.Pedigree(ancestors=[teacher], notes="distilled, pruned and quantized by edgepack"),
    )


def teacher_licences(manifest: BundleManifest) -> list[Any]:
    """The teacher's licence, by its SPDX id where it has one; none where it is not known."""
    if not manifest.teacher.licence:
        return []
    spdx = import_package("cyclonedx.spdx", WHAT)
    licence = import_package("cyclonedx.model.license", WHAT).DisjunctiveLicense
    known = spdx.fixup_id(manifest.teacher.licence)
    return [licence(id=known) if known else licence(name=manifest.teacher.licence)]


def runtime_component(manifest: BundleManifest) -> Any:
    """What the app needs to run the model; `version` is the oldest that does."""
    component, model = import_package("cyclonedx.model.component", WHAT), import_package("cyclonedx.model", WHAT)
    operators = ", ".join(manifest.runtime.operators)
    return component.Component(
        name=manifest.runtime.name,
        version=manifest.runtime.min_version,
        description=f"runtime, version {manifest.runtime.min_version} or newer",
        bom_ref="runtime",
        properties=[model.Property(name="edgepack:operators", value=operators)] if operators else [],
    )


def file_components(manifest: BundleManifest) -> list[Any]:
    """Every file of the bundle but the manifest."""
    component, model = import_package("cyclonedx.model.component", WHAT), import_package("cyclonedx.model", WHAT)
    return [
        component.Component(
            name=record.path,
            type=component.ComponentType.FILE,
            bom_ref=f"file:{record.path}",
            hashes=[sha256(record.sha256)],
            properties=[
                model.Property(name="edgepack:bytes", value=str(record.bytes)),
                model.Property(name="edgepack:shipped", value=str(record.shipped).lower()),
            ],
        )
        for record in manifest.files
    ]


def edgepack_tool(manifest: BundleManifest) -> Any:
    """The program that made the bundle."""
    component, tool = import_package("cyclonedx.model.component", WHAT), import_package("cyclonedx.model.tool", WHAT)
    made_by = component.Component(
        name="edgepack",
        version=manifest.edgepack_version,
        type=component.ComponentType.APPLICATION,
        bom_ref="edgepack",
    )
    return tool.ToolRepository(components=[made_by])


def sha256(digest: str) -> Any:
    """A hash as the library takes it."""
    model = import_package("cyclonedx.model", WHAT)
    return model.HashType(alg=model.HashAlgorithm.SHA_256, content=digest)


def model_card_record(manifest: BundleManifest) -> dict[str, Any]:
    """The `modelCard` of the specification: task, architecture, inputs, outputs, measured figures, what they say."""
    figures = [
        {
            "type": metric.name,
            "value": f"{metric.value:.6g}",
            "slice": f"{name}, {metric.n} evaluation examples",
            "confidenceInterval": {"lowerBound": f"{metric.low:.6g}", "upperBound": f"{metric.high:.6g}"},
        }
        for name, metric in manifest.metrics.items()
    ]
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": manifest.task,
            "architectureFamily": "transformer encoder",
            "modelArchitecture": f"{manifest.runtime.name} artifact for {manifest.target}",
            "inputs": [{"format": f"{tensor.name}: {tensor.dtype} {list(tensor.shape)}"} for tensor in manifest.inputs],
            "outputs": [
                {"format": f"{tensor.name}: {tensor.dtype} {list(tensor.shape)}"} for tensor in manifest.outputs
            ],
        },
        "quantitativeAnalysis": {"performanceMetrics": figures},
        "considerations": {
            "technicalLimitations": [
                "The figures hold for the evaluation examples and say nothing of other data.",
                f"The model learnt from {manifest.teacher.name} and has its biases.",
            ]
        },
    }
