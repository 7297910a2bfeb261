"""Signatures: who vouches for a bundle. That its bytes are what it says is the gate's other checks.

`edgepack.json.sig` stands beside the manifest. It signs the manifest's sha256 with Ed25519 (Bernstein et al. 2012,
RFC 8032), and the manifest holds the sha256 of every other file, so the signature covers all of them. Keys are PEM
files, as `openssl genpkey -algorithm ed25519` writes them. The package comes with the extra `release`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgepack.bounded import read_file
from edgepack.bundle.manifest import MANIFEST_NAME, load_manifest, parse_model, write_model
from edgepack.bundle.record import Record
from edgepack.bundle.verdict import Check
from edgepack.errors import InputError, MissingDependency, bare, reason
from edgepack.machine.extras import import_package
from edgepack.workspace import sha256_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_NAME = f"{MANIFEST_NAME}.sig"
CONTEXT = b"edgepack bundle, manifest sha256: "  # so that a signature of something else is never one of a bundle
LARGEST_KEY = 100_000  # bytes of a PEM file; a key has about 120
LARGEST_SIGNATURE = 10_000  # bytes; one has about 330
SIGN_AGAIN = "sign the bundle again with `edgepack sign`"
MAKE_KEYS = "make a pair with: openssl genpkey -algorithm ed25519 -out release.pem"


class SignatureRecord(Record):
    """`edgepack.json.sig`: `key_sha256` is of the public key's 32 bytes, `signature` is base64."""

    schema_version: Literal[1] = 1
    algorithm: Literal["ed25519"] = "ed25519"
    manifest_sha256: str
    key_sha256: str
    signature: str


def sign_bundle(folder: Path, key: Path) -> SignatureRecord:
    """Sign the bundle's manifest with a private key; an earlier signature is replaced."""
    load_manifest(folder)
    private = private_key(key)
    digest = sha256_file(folder / MANIFEST_NAME)
    record = SignatureRecord(
        manifest_sha256=digest,
        key_sha256=fingerprint(private.public_key()),
        signature=base64.b64encode(private.sign(CONTEXT + digest.encode())).decode(),
    )
    try:
        write_model(folder / SIGNATURE_NAME, record)
    except OSError as e:
        raise InputError(f"{folder / SIGNATURE_NAME} cannot be written: {e.strerror}; sign a copy of the bundle") from e
    return record


def read_signature(folder: Path) -> SignatureRecord:
    """The signature beside a bundle's manifest; `InputError` where it is none."""
    path = folder / SIGNATURE_NAME
    data = read_file(path, LARGEST_SIGNATURE, bare(str(path), 200))
    return parse_model(data, SignatureRecord, str(path), SIGN_AGAIN)


def stale_signature(folder: Path) -> str | None:
    """What shows, without any key, that the signature is none of the manifest that is here."""
    try:
        signed = read_signature(folder).manifest_sha256
    except InputError as e:
        return str(e)
    digest = sha256_file(folder / MANIFEST_NAME)
    return None if signed == digest else f"{SIGNATURE_NAME}: {of_another(signed, digest)}; {SIGN_AGAIN}, or remove it"


def of_another(signed: str, digest: str) -> str:
    """That a signature is of another manifest than the one with this hash."""
    return f"signs another manifest: {signed[:16]!r}…; the one here is {digest[:16]}…"


def signature_check(folder: Path, key: Path | None) -> Check:
    """Whether the bundle's signature is by the owner of the public `key`, over the manifest that is there."""
    path = folder / SIGNATURE_NAME
    if key is None:
        return Check(name="signature", status="not_run", reason="no public key was given; pass --public-key")
    if path.is_symlink() or not path.is_file():
        what = "a link, no file" if path.is_symlink() else "missing"
        missing = f"{SIGNATURE_NAME} is {what}; sign with `edgepack sign`"
        return Check(name="signature", status="failed", reason=missing)
    try:
        public = public_key(key)
        problem = signature_problem(folder, read_signature(folder), public)
    except MissingDependency as e:
        return Check(name="signature", status="not_run", reason=str(e))
    except InputError as e:
        return Check(name="signature", status="failed", reason=str(e))
    reason = problem or f"signed by the key {fingerprint(public)[:16]}…"
    return Check(name="signature", status="failed" if problem else "passed", reason=reason)


def signature_problem(folder: Path, record: SignatureRecord, public: Ed25519PublicKey) -> str:
    """Why the signature does not hold, or ""."""
    invalid: type[Exception] = import_package("cryptography.exceptions", "a signature").InvalidSignature
    ours = fingerprint(public)
    if record.key_sha256 != ours:
        return f"signed by another key: {record.key_sha256[:16]!r}…; the key given is {ours[:16]}…"
    digest = sha256_file(folder / MANIFEST_NAME)
    if record.manifest_sha256 != digest:
        return of_another(record.manifest_sha256, digest)
    try:
        public.verify(base64.b64decode(record.signature, validate=True), CONTEXT + digest.encode())
    except (invalid, binascii.Error, ValueError):
        return "the signature is not the key's for this manifest"
    return ""


def fingerprint(key: Ed25519PublicKey) -> str:
    """sha256 of the public key's 32 bytes, in hex."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def private_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 private key from a PEM file without a password."""
    ed25519 = import_package("cryptography.hazmat.primitives.asymmetric.ed25519", "a signature")
    key = _read_pem(path, "load_pem_private_key", "private", password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise InputError(f"{path}: the key is {type(key).__name__}; allowed: an Ed25519 private key; {MAKE_KEYS}")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """An Ed25519 public key from a PEM file."""
    ed25519 = import_package("cryptography.hazmat.primitives.asymmetric.ed25519", "a signature")
    key = _read_pem(path, "load_pem_public_key", "public")
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InputError(
            f"{path}: the key is {type(key).__name__}; allowed: an Ed25519 public key; "
            "get it from the private one with: openssl pkey -in release.pem -pubout -out release.pub.pem"
        )
    return key


def _read_pem(path: Path, function: str, kind: str, **options: Any) -> Any:
    serialization = import_package("cryptography.hazmat.primitives.serialization", "a signature")
    unsupported = import_package("cryptography.exceptions", "a signature").UnsupportedAlgorithm
    try:
        data = read_file(path, LARGEST_KEY, f"{bare(str(path), 200)}: key")
        return getattr(serialization, function)(data, **options)
    except InputError as e:
        raise InputError(f"{e}; {MAKE_KEYS}") from e
    except (ValueError, TypeError, unsupported) as e:
        raise InputError(f"{path}: no {kind} key in PEM without a password ({reason(e)}); {MAKE_KEYS}") from e
