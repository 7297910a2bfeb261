"""Bytes that no honest program writes: apps, property lists, Android manifests, libraries."""

from __future__ import annotations

import io
import plistlib
import struct
import zipfile

Entries = dict[str, bytes]


def zipped(entries: Entries, method: int = zipfile.ZIP_STORED) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return memory.getvalue()


def apk(entries: Entries | None = None, manifest: bytes | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    return zipped({"AndroidManifest.xml": GOOD_MANIFEST if manifest is None else manifest, **(entries or {})}, method)


def aab(*globs: str, models: int = 1) -> bytes:
    compression = b"".join(field(1, glob.encode()) for glob in globs)
    assets = {f"base/assets/{'a' * 60}{number}.onnx": b"x" for number in range(models)}
    manifest = field(1, field(3, b"manifest"))
    config = field(3, compression)
    return zipped({"BundleConfig.pb": config, "base/manifest/AndroidManifest.xml": manifest, **assets})


def ipa(name: str, data: bytes) -> bytes:
    return zipped({"Payload/A.app/Info.plist": plistlib.dumps({}), f"Payload/A.app/{name}": data})


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protobuf."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def axml(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return struct.pack("<HHI", 3, 8, 8 + len(body)) + body


def string_pool(offsets: bytes, strings: bytes, count: int | None = None) -> bytes:
    count = len(offsets) // 4 if count is None else count
    body = struct.pack("<5I", count, 0, 0, 28 + len(offsets), 0) + offsets + strings
    return struct.pack("<HHI", 1, 28, 8 + len(body)) + body


def utf16(text: str) -> bytes:
    """A string of a pool: its length in one unit or two, then its units."""
    long = struct.pack("<HH", 0x8000 | len(text) >> 16, len(text) & 0xFFFF)
    return (long if len(text) > 0x7FFF else struct.pack("<H", len(text))) + text.encode("utf-16-le") + b"\0\0"


def element(attributes: int = 0, size: int = 20) -> bytes:
    body = struct.pack("<II", 0, 0) + struct.pack("<IIHHH", 0xFFFFFFFF, 0, 20, size, attributes) + bytes(6)
    return struct.pack("<HHI", 0x102, 16, 8 + len(body)) + body


END = struct.pack("<HHI", 0x103, 8, 8)
NAMES = string_pool(bytes(4), utf16("manifest"))
GOOD_MANIFEST = axml(NAMES, element(), END)


def shared_strings(count: int, length: int) -> bytes:
    """A pool of many strings that are the same bytes."""
    return axml(string_pool(bytes(4 * count), utf16("a" * length)), element(), END)


def elf(place: int, size: int = 56, count: int = 1) -> bytes:
    """A 64-bit library whose program headers are at `place`."""
    head = struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, place, 0, 0, 64, size, count, 0, 0, 0)
    return b"\x7fELF" + bytes([2, 1, 1]) + bytes(9) + head


def plist(content: str, head: str = '<?xml version="1.0"?>') -> bytes:
    return f"{head}<plist>{content}</plist>".encode()


def binary_plist(objects: list[bytes]) -> bytes:
    out, offsets = b"bplist00", []
    for each in objects:
        offsets.append(len(out))
        out += each
    table = b"".join(struct.pack(">I", offset) for offset in offsets)
    return out + table + struct.pack(">6xBBQQQ", 4, 2, len(objects), 0, len(out))


def deep_plist(depth: int) -> bytes:
    """Lists in lists."""
    return binary_plist([b"\xa1" + struct.pack(">H", number + 1) for number in range(depth)] + [b"\x09"])


def laughing_plist(depth: int) -> bytes:
    """Each list holds the next one twice: 2^depth items in a few hundred bytes."""
    key = [b"\xd1\x00\x01\x00\x02", b"\x5f\x10\x19NSPrivacyAccessedAPITypes"]
    lists = [b"\xa2" + struct.pack(">HH", number + 3, number + 3) for number in range(depth)]
    return binary_plist([*key, *lists, b"\x09"])


def hidden(name: str, megabytes: int) -> bytes:
    """An .apk of 30 MB of noise and an entry of zeros that unpacks to far more."""
    import random

    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("AndroidManifest.xml", GOOD_MANIFEST)
        archive.writestr("assets/noise", random.Random(0).randbytes(30_000_000))
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=True) as file:
            for _ in range(megabytes):
                file.write(bytes(1_000_000))
    return memory.getvalue()


def damaged_lzma() -> bytes:
    data = bytearray(apk({"a": b"x" * 10_000}, method=zipfile.ZIP_LZMA))
    place = data.rfind(b"PK\3\4")
    data[place + 40 : place + 50] = b"\xff" * 10
    return bytes(data)


def name_not_utf8() -> bytes:
    return apk({"assets/éé": b"x"}).replace("éé".encode(), b"\xff\xff\xff\xff")
