"""Policies that no honest program writes: one line and exit code 2, before any bundle is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.run import attack, pipe

POLICIES: dict[str, tuple[str, str]] = {  # TOML, what is said
    "lists in lists": ("a = " + "[" * 100_000 + "]" * 100_000, "nested too deep"),
    "tables in tables": ("a = " + "{a=" * 10_000 + "1" + "}" * 10_000, "nested too deep"),
    "a key of 100,000 parts": (".".join(["a"] * 100_000) + " = 1", "line 1 has 99,999 dots; at most 100"),
    "a quoted key of 60,000 parts": ("\n[" + ".".join(['"a"'] * 60_000) + "]", "line 2 has 59,999 dots"),
    "an integer of 5,000 digits": ("max_bytes = " + "9" * 5_000, "digits"),
    "a megabyte": ("# " + "x" * 1_000_000, "larger than 262,144 bytes"),
    "a key with escapes": ('"\\u001b[2J" = 1', r"key '\x1b[2J'"),
    "a key of 200,000 letters": ("x" * 200_000 + " = 1", "is unknown; allowed keys: max_drop"),
    "a waiver with escapes": ('waive = ["\\u001b[2J\\n"]', r"names '\x1b[2J\n'"),
    "a waiver of everything": ('waive = ["all"]', "names 'all'"),
    "true for a number": ("max_bytes = true", "max_bytes"),
    "no number": ("max_drop = nan", "max_drop"),
    "a limit without end": ("max_p50_ms = inf", "max_p50_ms"),
    "growth without end": ("max_growth = inf", "max_growth"),
    "a confidence without an interval": ("confidence = 0.9999999999999999", "confidence"),
    "a share that allows everything": ("max_drop = 1", "key 'max_drop' is 1; it must be less than 1"),
    "flips of every text": ("max_flips = 1.0", "max_flips"),
    "a growth that is a percentage": ("max_growth = 10", "key 'max_growth' is 10; it must be less than 1"),
    "a reason that nobody sees": (
        '[[waiver]]\ncheck = "goldens"\nreason = "\\u200b\\n"\nuntil = 2099-01-01',
        r"is '\u200b\n'; it must hold words",
    ),
    "a waiver up to an hour": (
        '[[waiver]]\ncheck = "goldens"\nreason = "x"\nuntil = 2099-01-01T10:00:00',
        "it must be a day, such as 2026-12-31",
    ),
    "a waiver up to a day of another country": (
        '[[waiver]]\ncheck = "goldens"\nreason = "x"\nuntil = "31.12.2099"',
        "'31.12.2099'; it must be a day, such as",
    ),
    "a signature that is required and waived": (
        'require_signature = true\nwaive = ["signature"]',
        "'signature' is both required and waived; remove one",
    ),
    "targets that are required and waived": (
        'require_targets = ["web-onnx"]\n[[waiver]]\ncheck = "targets"\nreason = "x"\nuntil = 2099-01-01',
        "'targets' is both required and waived; remove one",
    ),
    "a blank reason": ('[[waiver]]\ncheck = "goldens"\nreason = " "\nuntil = 2099-01-01', "waiver.0.reason"),
    "no name of a key": ('public_key = ""', "public_key"),
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_one_line(name: str, tmp_path: Path, bundle: Path) -> None:
    text, said = POLICIES[name]
    (tmp_path / "policy.toml").write_text(text)
    outcome = attack("gate", str(bundle), "--policy", str(tmp_path / "policy.toml"))
    assert said in outcome.stderr


def test_what_is_no_file(tmp_path: Path, bundle: Path) -> None:
    for path in (pipe(tmp_path / "policy.toml"), Path("/dev/zero"), bundle):
        attack("gate", str(bundle), "--policy", str(path))


def test_a_result_that_cannot_be_written_is_said_first(tmp_path: Path, bundle: Path) -> None:
    for path in (tmp_path / "no" / "such" / "gate.xml", tmp_path / ("x" * 300) / "gate.xml", bundle):
        outcome = attack("gate", str(bundle), "--junit", str(path))
        assert "--junit" in outcome.stderr
    assert "names no file" in attack("gate", str(bundle), "--junit", "").stderr
