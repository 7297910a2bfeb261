"""What every record in a bundle's JSON files is: frozen, and keeping keys that a newer edgepack wrote."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen; unknown keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)
