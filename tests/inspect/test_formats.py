"""The readers of binary XML, protobuf and ELF: against the tools that write them, and against damage."""

from __future__ import annotations

import random
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepack.errors import InputError
from edgepack.inspect.axml import parse_axml
from edgepack.inspect.element import Element
from edgepack.inspect.elf import load_segments
from edgepack.inspect.proto_xml import parse_proto_xml
from edgepack.inspect.storage import stays, uncompressed_globs
from edgepack.runtime.protobuf import parse_message


def child(root: Element, name: str) -> Element:
    return next(element for element in root.children if element.name == name)


@pytest.mark.needs_android_tools
@pytest.mark.parametrize("proto", [False, True])
def test_a_manifest_as_aapt2_wrote_it(compiled: Callable[..., bytes], proto: bool) -> None:
    data = compiled(proto=proto, permissions=["android.permission.INTERNET"], debuggable=True)
    root = parse_proto_xml(data) if proto else parse_axml(data)
    assert (root.name, root.attributes["package"]) == ("manifest", "dev.edgepack.sample")
    assert child(root, "uses-permission").attributes == {"name": "android.permission.INTERNET"}
    assert child(root, "application").attributes == {"label": "Sample 😀 é", "debuggable": "true"}
    assert child(root, "uses-sdk").attributes == {"minSdkVersion": "26", "targetSdkVersion": "28"}


@pytest.mark.needs_android_tools
def test_the_same_facts_as_aapts_own_dump(compiled: Callable[..., bytes], tmp_path: Path) -> None:
    data = compiled(permissions=["android.permission.CAMERA", "android.permission.INTERNET"])
    with zipfile.ZipFile(tmp_path / "a.apk", "w") as archive:
        archive.writestr("AndroidManifest.xml", data)
    command = ["aapt2", "dump", "xmltree", "--file", "AndroidManifest.xml", str(tmp_path / "a.apk")]
    dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = [line.split()[1] for line in dump.splitlines() if line.lstrip().startswith("E: ")]
    assert names == [element.name for element in parse_axml(data).walk()]


@pytest.mark.needs_android_tools
def test_strings_in_utf8_and_long_ones(android_tools: Path, tmp_path: Path) -> None:
    (tmp_path / "res" / "xml").mkdir(parents=True)
    long = "é" * 300
    (tmp_path / "res" / "xml" / "t.xml").write_text(f'<a b="{long}"><c d="😀" e="{"x" * 200}"/></a>')
    (tmp_path / "AndroidManifest.xml").write_text('<manifest package="a.b"/>')
    subprocess.run(["aapt2", "compile", "--dir", "res", "-o", "r.zip"], cwd=tmp_path, check=True)
    link = ["aapt2", "link", "--manifest", "AndroidManifest.xml", "-I", str(android_tools), "-o", "a.apk", "r.zip"]
    subprocess.run(link, cwd=tmp_path, check=True)
    with zipfile.ZipFile(tmp_path / "a.apk") as archive:
        root = parse_axml(archive.read("res/xml/t.xml"))
    assert root.attributes == {"b": long}
    assert root.children[0].attributes == {"d": "😀", "e": "x" * 200}


@pytest.mark.needs_android_tools
@pytest.mark.parametrize("proto", [False, True])
def test_a_damaged_manifest_is_one_line_or_another_manifest(compiled: Callable[..., bytes], proto: bool) -> None:
    data, chance = compiled(proto=proto), random.Random(1)
    parse = parse_proto_xml if proto else parse_axml
    damaged = [data[:size] for size in range(0, len(data), 7)]
    for _ in range(500):
        copy = bytearray(data)
        copy[chance.randrange(len(copy))] ^= 1 << chance.randrange(8)
        damaged.append(bytes(copy))
    refused = 0
    for each in damaged:
        try:
            parse(each)
        except InputError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("data", [b"\x08", b"\x0a\x05ab", b"\x0b", b"\x08" + b"\xff" * 11, b"\x0d\x00"])
def test_what_is_no_protobuf(data: bytes) -> None:
    with pytest.raises(InputError, match="protobuf"):
        parse_message(data)


def test_a_protobuf_of_every_wire_type() -> None:
    data = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x1d" + b"1234" + b"\x21" + b"12345678" + b"\x08\x01"
    numbers = [int.from_bytes(text, "little") for text in (b"1234", b"12345678")]
    assert parse_message(data) == {1: [150, 1], 2: [b"hi"], 3: [numbers[0]], 4: [numbers[1]]}
    assert parse_message(b"\x0b\x08\x01\x0c\x10\x02") == {2: [2]}  # a group is left out


@pytest.mark.parametrize(
    ("glob", "stored"),
    [
        ("**.onnx", True),
        ("**.[oO][nN][nN][xX]", True),
        ("assets/**", True),
        ("assets/*", False),
        ("assets/onnx/*.onnx", True),
        ("assets/onnx/model_?uantized.{ort,onnx}", True),
        ("**.[!o]nnx", False),
        ("**.[a-p]nnx", True),
        ("**.ptl", False),
        ("*.onnx", False),
    ],
)
def test_globs_of_an_aab(glob: str, stored: bool) -> None:
    assert stays("base/assets/onnx/model_quantized.onnx", [glob]) is stored


def test_globs_are_found_in_the_configuration() -> None:
    assert uncompressed_globs(b"\x1a\x04\x0a\x02**" + b"\x1a\x03\x0a\x01b") == ["**", "b"]
    assert uncompressed_globs(b"") == []


@pytest.mark.needs_android_tools
@pytest.mark.parametrize(("bits", "pages"), [(64, 16384), (64, 4096), (64, 65536), (32, 4096)])
def test_segments_as_readelf_sees_them(library: Callable[..., bytes], bits: int, pages: int, tmp_path: Path) -> None:
    data = library(pages=pages, bits=bits)
    segments = load_segments(data)
    assert {segment.alignment for segment in segments} == {pages}
    assert all(segment.fits(16384) is (pages >= 16384) for segment in segments)
    if shutil.which("readelf"):
        (tmp_path / "a.so").write_bytes(data)
        command = ["readelf", "-lW", str(tmp_path / "a.so")]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        loads = [line.split() for line in lines if line.split()[:1] == ["LOAD"]]
        assert [(int(f[1], 16), int(f[2], 16), int(f[-1], 16)) for f in loads] == [
            (s.offset, s.address, s.alignment) for s in segments
        ]


@pytest.mark.needs_android_tools
def test_a_library_that_ends_early(library: Callable[..., bytes]) -> None:
    with pytest.raises(ValueError, match="ends inside its program headers"):
        load_segments(library()[:100])
    with pytest.raises(ValueError, match="no little-endian ELF"):
        load_segments(b"\x7fELF\x02\x02")
