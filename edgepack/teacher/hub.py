"""A checkpoint's folder: one on this machine, or the hub's files in its cache. Remote code is never fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from edgepack.bounded import ARCHIVES
from edgepack.errors import InputError, bare, one_line, shown
from edgepack.teacher.files import CONFIG, PICKLES, SAFETENSORS, TOKENIZER_FILES, UNSEEN
from edgepack.teacher.other_models import MARKERS

HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
WANTED = (CONFIG, "README.md", UNSEEN, *TOKENIZER_FILES, *SAFETENSORS, *MARKERS)

EMBEDDING_FILES = ("*.json", "*_Dense/*", "*_Pooling/*", "0_Transformer/*")  # of a sentence-transformers folder


def find_folder(source: str, wanted: Sequence[str] = WANTED) -> Path:
    """The folder that `source` names; the files `wanted` of it from the hub where it is an id and no folder."""
    path = Path(source)
    if not source.strip():
        raise InputError("checkpoint '': names no folder; give one (`.` is the current one), or a hub id")
    try:
        kind = "folder" if path.is_dir() else "file" if path.exists() else "nothing"
    except OSError as e:  # a name that is too long, a folder that may not be looked into
        raise InputError(f"checkpoint {shown(source)}: cannot be looked up: {e.strerror}") from e
    if kind == "folder":
        return path
    if kind == "file":
        unpack = "unpack it and " if path.suffix.lower() in ARCHIVES else ""
        raise InputError(f"checkpoint {source}: is a file; {unpack}give the checkpoint's folder or a hub id")
    if not HUB_ID.fullmatch(source):
        raise InputError(f"checkpoint {bare(source)}: no such folder, and not a hub id of the form owner/name")
    return _download(source, wanted)


def _download(source: str, wanted: Sequence[str]) -> Path:
    try:
        folder = Path(snapshot_download(source, allow_patterns=list(wanted)))
        if SAFETENSORS[0] in wanted and not any(folder.glob(SAFETENSORS[0])):
            snapshot_download(source, allow_patterns=list(PICKLES))
    except GatedRepoError as e:
        reason = f"the hub's model is gated; accept its terms on https://huggingface.co/{source}, then `hf auth login`"
        raise InputError(f"checkpoint {source}: no such folder, and {reason}") from e
    except RepositoryNotFoundError as e:
        reason = "the hub has no model of this name, or it is private; check the spelling, or `hf auth login`"
        raise InputError(f"checkpoint {source}: no such folder, and {reason}") from e
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError) as e:
        reason = (
            "the hub was not reached (no network, or HF_HUB_OFFLINE is set) and its cache does not have it; "
            "give a folder, or `hf download` it where there is a network"
        )
        raise InputError(f"checkpoint {source}: no such folder, and {reason}") from e
    except (HFValidationError, OSError, ValueError) as e:
        raise InputError(f"checkpoint {source}: no such folder, and the hub does not have it: {one_line(e)}") from e
    return folder
