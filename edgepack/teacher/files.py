"""A checkpoint's files: their names, and JSON read so that a broken file is one line.

A file of Git LFS that was never fetched is a pointer of three lines in its place, and a copy of the hub's cache can be
links to nothing; that these are no JSON, no safetensors or not there would send people the wrong way, so they are
looked for first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgepack.bounded import read_file
from edgepack.errors import InputError, one_line, shown

CONFIG = "config.json"
SAFETENSORS = ("model*.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
TOKENIZER_FILES = (
    *VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
UNSEEN = "edgepack_unseen.json"  # which training examples the teacher was not trained on
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
LARGEST_JSON = 16 << 20  # bytes; as Python's objects ten to twenty times as much; configs have thousands


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in `path`; an `InputError` begins with `what`, and an absent file is an empty object."""
    if not path.exists() and not path.is_symlink():
        return {}
    document = _document(path, what)
    if not isinstance(document, dict):
        raise InputError(f"{what}: {path.name} is {shown(document)}; a JSON object is needed")
    return document


def read_json_list(path: Path, what: str) -> list[Any]:
    """The JSON list in `path`; an `InputError` begins with `what`."""
    document = _document(path, what)
    if not isinstance(document, list):
        raise InputError(f"{what}: {path.name} is {shown(document)}; a JSON list is needed")
    return document


def _document(path: Path, what: str) -> Any:
    data = read_file(path, LARGEST_JSON, f"{what}: {path.name}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{what}: {path.name} is UTF-16; save it as UTF-8")
    try:
        document = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unambiguous)
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as e:  # an escape such as \\ud83d alone, which no tokenizer and no file takes
        raise InputError(f"{what}: {path.name} is not valid JSON: it holds half of a surrogate pair") from e
    except RecursionError as e:
        raise InputError(f"{what}: {path.name} is not valid JSON: it is nested too deep") from e
    except ValueError as e:
        raise InputError(f"{what}: {path.name} is not valid JSON: {one_line(e)}") from e
    return document


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these pairs; `ValueError` for a key with two values, of which one was not meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next((key for key, value in pairs if value != found[key]), None)
        if twice is not None:
            raise ValueError(f"the key {shown(twice)} stands twice in one object, with other values")
    return found


def has_weights(folder: Path) -> bool:
    """Whether there are weights under one of the names that transformers reads."""
    return any(any(folder.glob(pattern)) for pattern in (SAFETENSORS[0], PICKLES[0]))


def deciding_files(folder: Path) -> list[Path]:
    """The files that decide what a checkpoint computes: config, weights, tokenizer."""
    return [path for path in deciding_names(folder) if path.is_file()]


def deciding_names(folder: Path) -> list[Path]:
    """What has the name of a deciding file, be it one, a link to nothing, or a folder."""
    weights = SAFETENSORS if any(folder.glob(SAFETENSORS[0])) else PICKLES
    patterns = (CONFIG, *weights, *TOKENIZER_FILES)
    return sorted(path for path in folder.iterdir() if any(path.match(pattern) for pattern in patterns))


def refuse_unusable(paths: Iterable[Path], name: str) -> None:
    """`InputError` where a file is not there, a link to nothing, empty, or the pointer that Git LFS leaves."""
    for path in paths:
        if path.is_symlink() and not path.exists():
            raise InputError(
                f"checkpoint {name}: {path.name} is a link to {shown(str(path.readlink()))}, which is not there; copy "
                "the folder again with what its links lead to (cp -rL)"
            )
        if not path.exists():
            raise InputError(f"checkpoint {name}: {path.name} is not there; copy or download the checkpoint again")
        if not path.is_file():
            raise InputError(f"checkpoint {name}: {path.name} is no regular file; a file is needed in its place")
        try:
            with path.open("rb") as file:
                start = file.read(len(LFS_POINTER))
        except OSError as e:
            raise InputError(f"checkpoint {name}: {path.name} cannot be read: {e.strerror}") from e
        if start == LFS_POINTER:
            raise InputError(
                f"checkpoint {name}: {path.name} is a Git LFS pointer, not the file itself; fetch the files with "
                "`git lfs install && git lfs pull` in the clone, or with `hf download`"
            )
        if not start:
            raise InputError(f"checkpoint {name}: {path.name} is empty; copy or download the checkpoint again")
