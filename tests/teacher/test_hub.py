"""Where a checkpoint comes from: a folder, the hub, or neither; every failure of the hub says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from edgepack.errors import InputError
from edgepack.teacher import hub, load_teacher


def answered(kind: type[HfHubHTTPError], status: int) -> HfHubHTTPError:
    request = httpx.Request("GET", "https://huggingface.co/owner/name")
    return kind("no", response=httpx.Response(status, request=request))


FAILURES: dict[str, tuple[Exception, str]] = {
    "gated": (
        answered(GatedRepoError, 403),
        "is gated; accept its terms on https://huggingface.co/owner/name, then `hf auth",
    ),
    "not found": (
        answered(RepositoryNotFoundError, 404),
        "no model of this name, or it is private; check the spelling",
    ),
    "offline": (OfflineModeIsEnabled("offline"), r"was not reached \(no network, or HF_HUB_OFFLINE is set\)"),
    "not in the cache": (
        LocalEntryNotFoundError("none"),
        "its cache does not have it; give a folder, or `hf download`",
    ),
    "no network": (ConnectionError("refused"), "was not reached"),
    "anything else": (answered(HfHubHTTPError, 500), "the hub does not have it: HfHubHTTPError"),
    "a full disk": (OSError("disk"), "the hub does not have it: OSError: disk"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_of_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error, message = FAILURES[name]

    def fail(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(InputError, match=f"checkpoint owner/name: no such folder, and .*{message}") as caught:
        load_teacher("owner/name")
    assert "\n" not in str(caught.value)


def test_only_named_files_are_fetched_and_pickles_where_nothing_else_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(source: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert load_teacher("owner/name").name == "owner/name"
    assert len(asked) == 1
    assert not any(pattern.endswith((".py", ".onnx", ".h5")) or pattern == "*" for pattern in asked[0])
    assert {"adapter_config.json", "modules.json", "tokenizer.json"} < set(asked[0])
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        load_teacher("owner/name")
    assert asked[-1] == ["pytorch_model*.bin", "pytorch_model.bin.index.json"]


def test_what_is_neither_folder_nor_hub_id(folder: Path) -> None:
    (folder / "model.zip").write_bytes(b"PK")
    for source, message in (
        (str(folder / "model.zip"), "is a file; unpack it and give the checkpoint's folder"),
        (str(folder / "config.json"), "is a file; give the checkpoint's folder"),
        ("./nowhere", "no such folder, and not a hub id"),
        ("a/b/c", "no such folder, and not a hub id"),
        ("x" * 5000, "cannot be looked up: File name too long"),
        ("a\x1b[31m\nb", r"checkpoint a\\x1b\[31m\\nb: no such folder"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            load_teacher(source)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600
