"""What every record in a bundle's JSON files is: frozen, and keeping keys that a newer edgepack wrote."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Record(BaseModel):
    """Frozen; unknown keys are kept. Fields of `left_out` are not in the file where they are None or empty."""

    left_out: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    @model_serializer(mode="wrap")
    def _without_left_out(self, handler: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        """Without a return annotation pydantic's JSON schema stays that of the fields."""
        document = handler(self)
        for name in self.left_out:
            if document.get(name) in (None, []):
                document.pop(name, None)
        return document
