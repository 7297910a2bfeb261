"""What every record in a bundle's JSON files is: frozen, and keeping keys that a newer edgepack wrote."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Record(BaseModel):
    """Frozen; unknown keys are kept. Fields of `left_out` are not in the file where they are None or empty."""

    left_out: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    @model_serializer(mode="wrap")
    def _without_left_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        for name in self.left_out:
            if document.get(name) in (None, []):
                document.pop(name, None)
        return document
