"""What is no whole archive of an app ends with one line, and damage inside never with a traceback."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgepack.cli import main
from edgepack.errors import EdgepackError, InputError
from edgepack.inspect.app import inspect_app
from edgepack.inspect.archive import open_archive


def test_a_file_that_is_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "app.apk"
    for data in (b"", b"text", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(data)
        with pytest.raises(InputError, match="is no whole zip file"):
            open_archive(path)


def test_a_zip_that_is_no_app(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.apk", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(InputError, match="is a zip file and no app"):
        open_archive(tmp_path / "a.apk")


def test_every_truncation_is_one_line(ipa: Any, tmp_path: Path) -> None:
    whole = ipa.write(tmp_path / "whole.ipa").read_bytes()
    cut = tmp_path / "cut.ipa"
    for size in range(0, len(whole), 97):
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match="is no whole zip file"):
            open_archive(cut)


def test_a_changed_byte_is_one_line_or_a_failed_check_or_harmless(ipa: Any, tmp_path: Path) -> None:
    whole = bytearray(ipa.write(tmp_path / "whole.ipa").read_bytes())
    changed, chance = tmp_path / "changed.ipa", random.Random(0)
    messages = []
    for _ in range(150):
        at = chance.randrange(len(whole))
        data = bytearray(whole)
        data[at] ^= 1 << chance.randrange(8)
        changed.write_bytes(data)
        try:
            inspect_app(changed)
        except EdgepackError as e:
            messages.append(str(e))
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.apk"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("AndroidManifest.xml", "x")
        with archive.open("assets/zeros", "w") as entry:
            for _ in range(110):
                entry.write(bytes(10**6))
    with pytest.raises(InputError, match="more than 50 times"):
        open_archive(bomb)


def test_an_entry_that_declares_more_than_stores_take_is_refused(tmp_path: Path) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("AndroidManifest.xml", "x" * 10)
        archive.writestr("big", "x" * 10)
    data = bytearray(memory.getvalue())
    central = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 4_200_000_000)
    (tmp_path / "big.apk").write_bytes(data)
    with pytest.raises(InputError, match="no store takes more than"):
        open_archive(tmp_path / "big.apk")


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("BundleConfig.pb", "x")
    data = bytearray(memory.getvalue())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    (tmp_path / "a.aab").write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        open_archive(tmp_path / "a.aab")


def test_names_that_stand_twice_are_a_failed_check(ipa: Any, tmp_path: Path) -> None:
    path = ipa.write(tmp_path / "app.ipa")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("Payload/Sample.app/Sample", "x")
    entries = inspect_app(path).checks[0]
    assert (entries.name, entries.status) == ("entries", "failed")
    assert "is there 2 times" in entries.reason


def test_a_manifest_that_is_no_json_is_one_line(ipa: Any, tmp_path: Path) -> None:
    app = ipa.put("Payload/Sample.app/assets/edgepack.json", b"{").write(tmp_path / "app.ipa")
    with pytest.raises(InputError, match=r"assets/edgepack\.json: the document: Invalid JSON"):
        inspect_app(app)


def test_the_command_exits_0_1_and_2(ipa: Any, tmp_path: Path) -> None:
    good, bad, text = ipa.write(tmp_path / "a.ipa"), tmp_path / "b.ipa", tmp_path / "c.ipa"
    ipa.without("Payload/Sample.app/PrivacyInfo.xcprivacy").write(bad)
    text.write_text("no zip")
    runner = CliRunner()
    assert runner.invoke(main, ["inspect", str(good)]).exit_code == 0
    failed = runner.invoke(main, ["inspect", str(bad), "--json"])
    assert failed.exit_code == 1
    checks = {check["name"]: check["status"] for check in json.loads(failed.stdout)["checks"]}
    assert checks["privacy-manifest"] == "failed"
    refused = runner.invoke(main, ["inspect", str(text)])
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
