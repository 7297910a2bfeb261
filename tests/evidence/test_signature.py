"""Signatures: who signed, over which bytes; and a bill of materials that other tools accept."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import PublicFormat as Public
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgepack.bundle.bom import bill_of_materials
from edgepack.bundle.manifest import MANIFEST_NAME, load_manifest, write_model
from edgepack.bundle.signature import CONTEXT, SIGNATURE_NAME, sign_bundle, signature_check
from edgepack.bundle.write import write_bundle
from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.evidence.bundle_files import files_check
from edgepack.target import load_target
from tests.attacks.run import no_hanging, pipe
from tests.evidence.world import World
from tests.package.conftest import bundle as bundle
from tests.package.conftest import make_bundle as make_bundle

PEM, PKCS8 = Encoding.PEM, PrivateFormat.PKCS8


def write_keys(folder: Path, name: str = "release") -> tuple[Path, Path]:
    """A new pair of PEM files."""
    private = Ed25519PrivateKey.generate()
    paths = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    paths[0].write_bytes(private.private_bytes(PEM, PKCS8, NoEncryption()))
    paths[1].write_bytes(private.public_key().public_bytes(PEM, Public.SubjectPublicKeyInfo))
    return paths


def test_a_signature_holds_until_anything_changes(bundle: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    sign_bundle(bundle, private)
    assert signature_check(bundle, public).status == "passed"
    manifest = load_manifest(bundle)
    write_model(bundle / MANIFEST_NAME, manifest.model_copy(update={"budget_bytes": manifest.budget_bytes + 1}))
    check = signature_check(bundle, public)
    assert (check.status, "signs another manifest" in check.reason) == ("failed", True)


def test_a_signature_of_another_manifest_or_none_at_all_fails_without_a_key(world: World, tmp_path: Path) -> None:
    copy = write_bundle(tmp_path / "whole", world.contents()).folder
    private, _ = write_keys(tmp_path)
    sign_bundle(copy, private)
    manifest = load_manifest(copy)
    target = load_target(manifest.target)
    assert files_check(copy, manifest, target).status == "passed"
    record = json.loads((copy / SIGNATURE_NAME).read_text())
    for text in (json.dumps({**record, "manifest_sha256": "0" * 64}), "{}", "", "x" * 20_000):
        (copy / SIGNATURE_NAME).write_text(text)
        check = files_check(copy, manifest, target)
        assert (check.status, SIGNATURE_NAME in check.reason, "\n" in check.reason) == ("failed", True, False), text


def test_a_damaged_bundle_is_not_signed_and_a_stale_signature_is_replaced(world: World, tmp_path: Path) -> None:
    copy = write_bundle(tmp_path / "whole", world.contents()).folder
    private, public = write_keys(tmp_path)
    (copy / SIGNATURE_NAME).write_text("{}")
    assert main_code(["sign", str(copy), "--key", str(private)]) == 0
    assert signature_check(copy, public).status == "passed"
    (copy / "README.md").write_text("x")
    assert main_code(["sign", str(copy), "--key", str(private)]) == 2


def main_code(arguments: list[str]) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_another_key_another_bundle_no_signature(bundle: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    _, other = write_keys(tmp_path, "other")
    assert "is missing" in signature_check(bundle, public).reason
    sign_bundle(bundle, private)
    assert "signed by another key" in signature_check(bundle, other).reason
    record = json.loads((bundle / SIGNATURE_NAME).read_text())
    for forged in (record["signature"][:-4] + "AAA=", "no base64!", ""):
        (bundle / SIGNATURE_NAME).write_text(json.dumps({**record, "signature": forged}))
        assert signature_check(bundle, public).status == "failed", forged
    assert signature_check(bundle, None).status == "not_run"


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"manifest_sha256": 1}'])
def test_a_signature_file_of_rubbish_is_a_failed_check(bundle: Path, tmp_path: Path, content: bytes) -> None:
    _, public = write_keys(tmp_path)
    (bundle / SIGNATURE_NAME).write_bytes(content)
    assert signature_check(bundle, public).status == "failed"


def test_a_key_of_another_kind_is_refused_with_the_way_to_make_one(bundle: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    ec = tmp_path / "ec.pem"
    ec.write_bytes(generate_private_key(SECP256R1()).private_bytes(PEM, PKCS8, NoEncryption()))
    locked = tmp_path / "locked.pem"
    locked.write_bytes(Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, BestAvailableEncryption(b"secret")))
    for path in (ec, locked, public, bundle / MANIFEST_NAME, tmp_path / "absent.pem"):
        with pytest.raises(InputError, match="openssl genpkey -algorithm ed25519"):
            sign_bundle(bundle, path)
    assert not (bundle / SIGNATURE_NAME).exists()
    assert signature_check(bundle, private).status == "failed", "a private key is no public one"


def test_a_key_that_is_no_file_is_not_waited_for(bundle: Path, tmp_path: Path) -> None:
    (bundle / SIGNATURE_NAME).write_text("{}")
    for path in (pipe(tmp_path / "key.pem"), Path("/dev/zero"), bundle):
        with no_hanging():
            assert "key: is no regular file; give a file" in signature_check(bundle, path).reason
            with pytest.raises(InputError, match="key: is no regular file; give a file; make a pair with: openssl"):
                sign_bundle(bundle, path)


def test_a_signature_that_is_a_link_is_told_as_that(bundle: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    sign_bundle(bundle, private)
    (bundle / SIGNATURE_NAME).rename(tmp_path / "outside.sig")
    (bundle / SIGNATURE_NAME).symlink_to(tmp_path / "outside.sig")
    check = signature_check(bundle, public)
    assert (check.status, check.reason) == (
        "failed", "edgepack.json.sig is a link, no file; sign with `edgepack sign`",
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_openssl_makes_the_keys_and_verifies_the_signature(bundle: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "release.pem", tmp_path / "release.pub.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    record = sign_bundle(bundle, private)
    assert signature_check(bundle, public).status == "passed"
    (tmp_path / "message").write_bytes(CONTEXT + record.manifest_sha256.encode())
    (tmp_path / "signature").write_bytes(base64.b64decode(record.signature))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"]
    subprocess.run([*command, "-in", tmp_path / "message", "-sigfile", tmp_path / "signature"], check=True)


@pytest.mark.parametrize(("licence", "expected"), [("apache-2.0", {"id": "Apache-2.0"}), ("ours", {"name": "ours"})])
def test_a_bill_of_materials_is_valid_and_names_what_matters(
    bundle: Path, licence: str, expected: dict[str, str]
) -> None:
    manifest = load_manifest(bundle)
    teacher = manifest.teacher.model_copy(update={"licence": licence})
    write_model(bundle / MANIFEST_NAME, manifest.model_copy(update={"teacher": teacher}))
    text = bill_of_materials(bundle).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert bill_of_materials(bundle).decode() == text, "the same bundle, the same document"
    document = json.loads(text)
    model = document["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    (ancestor,) = model["pedigree"]["ancestors"]
    assert ancestor["licenses"] == [{"license": expected}]
    (metric,) = [
        m for m in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] if "artifact" in m["slice"]
    ]
    assert metric["value"] == "0.9"
    files = {c["name"]: c["hashes"][0]["content"] for c in document["components"] if c["type"] == "file"}
    assert files == {record.path: record.sha256 for record in manifest.files}


def test_a_teacher_without_a_licence_has_none(bundle: Path) -> None:
    document = json.loads(bill_of_materials(bundle))
    assert "licenses" not in document["metadata"]["component"]
