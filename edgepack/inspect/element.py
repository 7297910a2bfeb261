"""An XML element as the two readers of Android manifests give it, and the attributes that Android knows by number.

Android reads an attribute of its own by its resource id and ignores its name, which tools may remove or change; so do
the readers: where an id is known, its name here is the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_DEPTH = 100  # of elements; a real manifest has six levels
# android.R.attr
ATTRIBUTE_NAMES = {
    0x01010003: "name",
    0x0101000F: "debuggable",
    0x0101020C: "minSdkVersion",
    0x01010270: "targetSdkVersion",
    0x01010271: "maxSdkVersion",
}


@dataclass
class Element:
    """Name, attributes as text (booleans as `true` and `false`), children in order."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        """This element and all below it; not recursive, for a manifest may nest as deep as it likes."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))
