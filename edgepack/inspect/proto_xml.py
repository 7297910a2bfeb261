"""An XML document as aapt2 writes it into an .aab: the protobuf message `XmlNode`.

Field numbers are those of AOSP's tools/aapt2/Resources.proto:

    XmlNode       1 element, 2 text
    XmlElement    3 name, 4 attribute (repeated), 5 child (repeated)
    XmlAttribute  2 name, 3 value, 5 resource id, 6 compiled item; Item 7 primitive; Primitive 8 boolean

A compiled boolean counts, not the text with it, since that is what the device gets.
"""

from __future__ import annotations

from edgepack.errors import InputError
from edgepack.inspect.element import ATTRIBUTE_NAMES, MAX_DEPTH, Element
from edgepack.runtime.protobuf import Fields, last_number, last_string, messages, parse_message


def parse_proto_xml(data: bytes) -> Element:
    """The root element of an `XmlNode`; `InputError` where there is none."""
    roots = messages(parse_message(data), 1)
    if not roots:
        raise InputError("the .aab's AndroidManifest.xml has no element; build the app again")
    return _element(roots[-1], 1)


def _element(fields: Fields, depth: int) -> Element:
    if depth > MAX_DEPTH:
        raise InputError(f"the .aab's AndroidManifest.xml nests more than {MAX_DEPTH} deep; build the app again")
    attributes = dict(_attribute(attribute) for attribute in messages(fields, 4))
    children = [_element(element, depth + 1) for child in messages(fields, 5) for element in messages(child, 1)]
    return Element(last_string(fields, 3), attributes, children)


def _attribute(fields: Fields) -> tuple[str, str]:
    name = ATTRIBUTE_NAMES.get(last_number(fields, 5) or 0, last_string(fields, 2))
    for item in messages(fields, 6):
        for primitive in messages(item, 7):
            boolean = last_number(primitive, 8)
            if boolean is not None:
                return name, "true" if boolean else "false"
    return name, last_string(fields, 3)
