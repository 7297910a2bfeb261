"""Whether an app is signed and for whom: a warning where it is not, since it may be signed later.

An .apk has a signing block before its central directory (scheme 2 and newer) or a signature file in `META-INF/`
(scheme 1, which an .aab has too); an .ipa has `_CodeSignature/`. The signature itself is not verified: `apksigner
verify` and the stores do that. An .ipa's provisioning profile says whether a debugger may attach.
"""

from __future__ import annotations

import plistlib
import re
from pathlib import PurePosixPath

from edgepack.inspect.archive import AppArchive
from edgepack.inspect.check import Check

V1_SIGNATURE = re.compile(r"META-INF/[^/]+\.(RSA|DSA|EC)")
PLIST = b"<?xml", b"</plist>"  # a profile is a signed message around a property list
LARGEST_PROFILE = 1 << 20  # bytes; a real one has some ten thousand


def check_signature(app: AppArchive) -> Check:
    """A warning where there is no signature."""
    if app.kind == "ipa":
        signed = any("_CodeSignature" in PurePosixPath(entry.name).parts for entry in app.entries)
    else:
        signed = app.has_signing_block or any(V1_SIGNATURE.fullmatch(entry.name) for entry in app.entries)
    if signed:
        return Check("signature", "passed", "there is one; it was not verified")
    return Check("signature", "warning", f"the .{app.kind} is not signed; sign it before it is installed or uploaded")


def profile_allows_debugger(app: AppArchive) -> bool:
    """Whether an .ipa's provisioning profile sets `get-task-allow`."""
    for entry in app.entries:
        if PurePosixPath(entry.name).name == "embedded.mobileprovision":
            data = app.read(entry.name, LARGEST_PROFILE)
            begin = data.find(PLIST[0])
            end = data.find(PLIST[1], begin)
            if 0 <= begin < end and _get_task_allow(data[begin : end + len(PLIST[1])]):
                return True
    return False


def _get_task_allow(data: bytes) -> bool:
    try:
        profile = plistlib.loads(data)
    except Exception:  # a broken one trips plistlib and expat in many ways
        return False
    entitlements = profile.get("Entitlements") if isinstance(profile, dict) else None
    return isinstance(entitlements, dict) and entitlements.get("get-task-allow") is True
