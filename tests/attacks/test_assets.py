"""Tokenizer files of a bundle that no honest program writes: an `InputError` of one line, in bounds."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from edgepack.bundle.goldens import load_tokenizer
from edgepack.demo.base import make_tokenizer
from edgepack.errors import InputError
from edgepack.tokenizer.asset import asset_bytes
from edgepack.tokenizer.reader import read_tokenizer_asset
from tests.attacks.made import varint
from tests.attacks.run import MEMORY, no_hanging, pipe, watched

HEADER, LENGTHS, SUFFIXES, CLASSES, FOLDS, RANKS = range(6)


@pytest.fixture(scope="module")
def asset() -> bytes:
    return asset_bytes(make_tokenizer(["play the song", "stop the music now"]))


def streams(data: bytes) -> list[bytes]:
    at, found = 5, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def with_stream(data: bytes, number: int, packed: bytes) -> bytes:
    found = streams(data)
    found[number] = packed
    return data[:5] + b"".join(struct.pack("<I", len(each)) + each for each in found)


def bomb(megabytes: int) -> bytes:
    squeeze = zlib.compressobj(9)
    return b"".join([*[squeeze.compress(bytes(1_000_000)) for _ in range(megabytes)], squeeze.flush()])


def numbers(*values: int) -> bytes:
    return b"".join(map(varint, values))


STREAMS: dict[str, tuple[int, Callable[[bytes], bytes], str]] = {  # which one, what it becomes, what is said
    "a varint of a megabyte": (HEADER, lambda old: b"\xff" * 1_000_000 + b"\1" + old[1:], "more than 9 bytes"),
    "2^40 tokens": (HEADER, lambda old: numbers(1, 2**40) + old[3:], "less than 2000000 is allowed"),
    "a word of 2^40 letters": (HEADER, lambda old: numbers(1, 30, 1, 2**40) + old[4:], "less than 1001"),
    "2^40 added tokens": (HEADER, lambda old: numbers(1, 30, 1, 100, 0, 2**40), "is allowed"),
    "an added token of nothing": (HEADER, lambda old: numbers(1, 30, 1, 100, 0, 1, 2, 0, 0, 0), "without a character"),
    "tokens cut off": (LENGTHS, lambda old: old[: len(old) // 2], "damaged"),
    "letters that are none": (SUFFIXES, lambda old: b"\xff" + old[1:], "utf-8"),
    "a range of 2^40": (CLASSES, lambda old: numbers(1, 0, 2**40) + old[1:], "ends at code point 1099511627776"),
    "2^40 ranges": (CLASSES, lambda old: numbers(2**40) + old[1:], "is allowed"),
    "a letter that becomes none": (FOLDS, lambda old: numbers(1, 0x61, 1, 2 * 0x110000), "the code point 1114112"),
    "a letter that becomes a thousand": (FOLDS, lambda old: numbers(1, 0x61, 1_000, *[2] * 1_000), "less than 65"),
    "a mark beyond Unicode": (RANKS, lambda old: numbers(1, 2**30, 1), "the code point 1073741824"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_refused(name: str, asset: bytes) -> None:
    number, change, said = STREAMS[name]
    old = zlib.decompress(streams(asset)[number])
    with no_hanging(), watched() as grown, pytest.raises(InputError, match=said) as error:
        read_tokenizer_asset(with_stream(asset, number, zlib.compress(change(old), 9)))
    assert str(error.value).isprintable()
    assert grown[0] < MEMORY / 10


@pytest.mark.parametrize("number", [HEADER, SUFFIXES])
def test_a_bomb_is_refused(number: int, asset: bytes) -> None:
    with watched() as grown, pytest.raises(InputError, match="unpacks to more than 16,777,216 bytes"):
        read_tokenizer_asset(with_stream(asset, number, bomb(300)))
    assert grown[0] < MEMORY / 10


def test_tokens_that_repeat_the_one_before_are_refused(asset: bytes) -> None:
    """A megabyte of lengths, a kilobyte packed, for 255 MB of tokens."""
    rest = zlib.decompress(streams(asset)[HEADER])[4:]
    data = with_stream(asset, HEADER, zlib.compress(numbers(1, 1_000_000, 1, 100) + rest))
    data = with_stream(data, LENGTHS, zlib.compress(b"\x00" + varint(255) + b"\xff\x00" * 999_999, 9))
    data = with_stream(data, SUFFIXES, zlib.compress(b"a" * 255))
    with watched() as grown, pytest.raises(InputError, match="tokens of more than 67,108,864 bytes"):
        read_tokenizer_asset(data)
    assert grown[0] < MEMORY / 2


def test_more_or_fewer_streams_are_refused(asset: bytes) -> None:
    for data in (asset + asset[5:], asset[: -len(streams(asset)[-1]) - 4]):
        with pytest.raises(InputError, match="damaged"):
            read_tokenizer_asset(data)


def test_a_tokenizer_json_that_grows_is_refused(tmp_path: Path) -> None:
    document = json.loads(make_tokenizer(["play"]).backend_tokenizer.to_str())
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 30}
    for broken in (
        {**document, "normalizer": {"type": "Sequence", "normalizers": [step] * 6}},
        {**document, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {**document, "post_processor": {"type": "TemplateProcessing", "single": 1}},
        [],
    ):
        (tmp_path / "tokenizer.json").write_text(json.dumps(broken))
        with pytest.raises(InputError, match="tokenizer does not load") as error:
            load_tokenizer(tmp_path / "tokenizer.json")
        assert str(error.value).isprintable()
    with pytest.raises(InputError, match="is no regular file"):
        load_tokenizer(pipe(tmp_path / "tokenizer.json"))


def test_a_healthy_one_is_read(tmp_path: Path, asset: bytes) -> None:
    backend: Tokenizer = make_tokenizer(["play the song", "stop the music now"]).backend_tokenizer
    backend.save(str(tmp_path / "tokenizer.json"))
    expected = load_tokenizer(tmp_path / "tokenizer.json").encode("play the song").ids
    assert read_tokenizer_asset(asset).encode("play the song").input_ids == expected
