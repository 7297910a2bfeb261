"""Write the JSON schemas of what edgepack writes for other programs into docs/schemas/.

    python docs/generate_schemas.py     (part of `make docs`)

They are JSON Schema 2020-12, made from the records that the code itself writes and reads with.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from edgepack.bundle.manifest import BundleManifest
from edgepack.bundle.signature import SignatureRecord
from edgepack.bundle.sweep import SweepRecord
from edgepack.bundle.verdict import Verdict
from edgepack.evidence.device import DeviceReport
from edgepack.evidence.outcome import GateRecord
from edgepack.evidence.speed_profile import SpeedProfile

FOLDER = Path(__file__).parent / "schemas"
SCHEMAS: dict[str, type[BaseModel]] = {
    "device-report": DeviceReport,
    "gate": GateRecord,
    "manifest": BundleManifest,
    "signature": SignatureRecord,
    "sweep": SweepRecord,
    "speed-profile": SpeedProfile,
    "verdict": Verdict,
}


def schema_text(name: str) -> str:
    """One schema as its file holds it."""
    schema = SCHEMAS[name].model_json_schema(by_alias=True, mode="serialization")
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in SCHEMAS:
        (FOLDER / f"{name}.json").write_text(schema_text(name), encoding="utf-8")
