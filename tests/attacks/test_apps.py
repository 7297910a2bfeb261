"""Built apps that no honest program writes: `edgepack inspect` ends with a verdict or one line, in bounds."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks import made
from tests.attacks.run import attack, pipe

JUDGED, REFUSED = (0, 1), (2,)
APPS: dict[str, tuple[str, Callable[[], bytes], tuple[int, ...], str]] = {  # name, bytes, exit codes, what is said
    "nothing but a manifest": ("a.apk", made.apk, JUDGED, "PASSED|FAILED"),
    "no zip": ("a.apk", lambda: b"hello", REFUSED, "no whole zip file"),
    "a name that is not UTF-8": ("a.apk", made.name_not_utf8, REFUSED, "no whole zip file"),
    "250,000 entries": (
        "a.apk",
        lambda: made.apk({f"assets/{number}": b"" for number in range(250_000)}),
        REFUSED,
        "250,001 entries; no app has more than 200,000",
    ),
    "many libraries": (
        "a.apk",
        lambda: made.apk({f"lib/arm64-v8a/lib{number}.so": made.elf(64) for number in range(5_000)}),
        JUDGED,
        "ends inside its program headers",
    ),
    "an entry damaged in LZMA": ("a.apk", made.damaged_lzma, REFUSED, "packed by method 14"),
    "program headers at 2^64 - 1": (
        "a.apk",
        lambda: made.apk({"lib/arm64-v8a/libx.so": made.elf(2**64 - 1)}),
        JUDGED,
        "ends inside its program headers",
    ),
    "65,535 program headers of no size": (
        "a.apk",
        lambda: made.apk({"lib/arm64-v8a/libx.so": made.elf(2**63, 0, 65_535)}),
        JUDGED,
        "ends inside its program headers",
    ),
    "elements that nest": (
        "a.apk",
        lambda: made.apk(manifest=made.axml(made.NAMES, *[made.element()] * 100_000)),
        REFUSED,
        "more than 100 deep",
    ),
    "strings that share their bytes": (
        "a.apk",
        lambda: made.apk(manifest=made.shared_strings(5_000, 1_000_000)),
        REFUSED,
        "strings that overlap",
    ),
    "more strings than bytes": (
        "a.apk",
        lambda: made.apk(manifest=made.axml(made.string_pool(b"", b"", 2**30), made.element())),
        REFUSED,
        "1073741824 strings in a pool",
    ),
    "attributes of no size": (
        "a.apk",
        lambda: made.apk(manifest=made.axml(made.NAMES, *[made.element(65_535, 0)] * 10_000)),
        REFUSED,
        "65535 attributes of 0 bytes",
    ),
    "an edgepack.json of 300 MB": (
        "a.apk",
        lambda: made.hidden("assets/edgepack.json", 300),
        REFUSED,
        r"assets/edgepack\.json holds more than 16,777,216 bytes",
    ),
    "an edgepack.json that nests": (
        "a.apk",
        lambda: made.apk({"assets/x/edgepack.json": b"[" * 1_000_000}),
        REFUSED,
        r"assets/x/edgepack\.json",
    ),
    "stars within stars": ("a.aab", lambda: made.aab("**a" * 25 + "c"), JUDGED, "no uncompressed glob"),
    "a range backwards": ("a.aab", lambda: made.aab("[z-a].onnx"), JUDGED, "no uncompressed glob"),
    "a set that is open": ("a.aab", lambda: made.aab("[!].onnx", "[", "{"), JUDGED, "no uncompressed glob"),
    "too many globs": (
        "a.aab",
        lambda: made.aab(*["*" * 500] * 500, models=50),
        REFUSED,
        "500 globs for 50 models, too many to match",
    ),
    "a key outside of a dictionary": (
        "a.ipa",
        lambda: made.ipa("embedded.mobileprovision", b"x" + made.plist("<key>a</key>")),
        JUDGED,
        "FAILED",
    ),
    "a date that is none": (
        "a.ipa",
        lambda: made.ipa("PrivacyInfo.xcprivacy", made.plist("<date>x</date>")),
        JUDGED,
        "no property list",
    ),
    "an encoding that nobody knows": (
        "a.ipa",
        lambda: made.ipa("PrivacyInfo.xcprivacy", made.plist("<dict/>", '<?xml version="1.0" encoding="x-foo"?>')),
        JUDGED,
        "no property list",
    ),
    "an integer of 5,000 digits": (
        "a.ipa",
        lambda: made.ipa("PrivacyInfo.xcprivacy", made.plist(f"<integer>{'9' * 5_000}</integer>")),
        JUDGED,
        "no property list",
    ),
    "lists in lists": ("a.ipa", lambda: made.ipa("PrivacyInfo.xcprivacy", made.deep_plist(30_000)), JUDGED, "FAILED"),
    "lists of the same lists": (
        "a.ipa",
        lambda: made.ipa("PrivacyInfo.xcprivacy", made.laughing_plist(60)),
        JUDGED,
        "FAILED",
    ),
    "a profile of beginnings": (
        "a.ipa",
        lambda: made.ipa("embedded.mobileprovision", b"<?xml" * 200_000),
        JUDGED,
        "FAILED",
    ),
}


@pytest.mark.parametrize("name", APPS)
def test_an_app_is_judged_or_refused(name: str, tmp_path: Path) -> None:
    file, build, codes, said = APPS[name]
    (tmp_path / file).write_bytes(build())
    outcome = attack("inspect", str(tmp_path / file), codes=codes)
    assert re.search(said, outcome.stdout + outcome.stderr), (outcome.stdout + outcome.stderr)[-1_000:]


def test_names_forge_no_line(tmp_path: Path) -> None:
    entries = {"../\x1b[2J\nPASSED": b"x", "/etc/passwd": b"x", "../" + "n" * 5_000: b"x"}
    (tmp_path / "a.apk").write_bytes(made.apk(entries))
    outcome = attack("inspect", str(tmp_path / "a.apk"), codes=(1,))
    assert r"../\x1b[2J\nPASSED leads outside the app" in outcome.stdout
    assert max(map(len, outcome.stdout.splitlines())) < 1_500


@pytest.mark.parametrize("offset", [2**63, 2**64 - 1])
def test_an_entry_beyond_the_end_of_every_file(tmp_path: Path, offset: int) -> None:
    data = made.apk({"a": b"x"})
    place = data.rindex(b"PK\1\2")
    entry = bytearray(data[place:])
    struct.pack_into("<I", entry, 42, 0xFFFFFFFF)  # its place stands in the extra field
    struct.pack_into("<H", entry, 30, 12)
    entry[47:47] = struct.pack("<HHQ", 1, 8, offset)
    end = entry.rindex(b"PK\5\6")
    (size,) = struct.unpack_from("<I", entry, end + 12)
    struct.pack_into("<I", entry, end + 12, size + 12)
    (tmp_path / "a.apk").write_bytes(data[:place] + bytes(entry))
    attack("inspect", str(tmp_path / "a.apk"))


def test_what_is_no_file(tmp_path: Path) -> None:
    loop = tmp_path / "loop.apk"
    loop.symlink_to(loop)
    for path in (pipe(tmp_path / "a.apk"), Path("/dev/zero"), tmp_path, loop):
        attack("inspect", str(path))
    os.symlink("/dev/zero", tmp_path / "zero.apk")
    attack("inspect", str(tmp_path / "zero.apk"))
