"""The privacy manifest of an iOS app: there, a property list, and every reason one that Apple knows.

App Store Connect refuses an upload whose app uses a required-reason API without a reason, and a manifest with keys or
codes that it does not know. Keys and codes: developer.apple.com, "Privacy manifest files" and "Describing use of
required reason API". What the binaries really call is not looked at.
"""

from __future__ import annotations

import plistlib
from pathlib import PurePosixPath
from typing import Any

from edgepack.errors import bare, reason, shown
from edgepack.inspect.archive import AppArchive
from edgepack.inspect.check import Check, not_applicable, verdict_of

PRIVACY_NAME = "PrivacyInfo.xcprivacy"
LARGEST_PLIST = 1 << 20  # bytes; a real one has a few thousand
KEY_TYPES: dict[str, type] = {
    "NSPrivacyTracking": bool,
    "NSPrivacyTrackingDomains": list,
    "NSPrivacyCollectedDataTypes": list,
    "NSPrivacyAccessedAPITypes": list,
}
CATEGORY, REASONS = "NSPrivacyAccessedAPIType", "NSPrivacyAccessedAPITypeReasons"
REASON_CODES = {
    "NSPrivacyAccessedAPICategoryFileTimestamp": ("DDA9.1", "C617.1", "3B52.1", "0A2A.1"),
    "NSPrivacyAccessedAPICategorySystemBootTime": ("35F9.1", "8FFB.1", "3D61.1"),
    "NSPrivacyAccessedAPICategoryDiskSpace": ("85F4.1", "E174.1", "7D9E.1", "B728.1"),
    "NSPrivacyAccessedAPICategoryActiveKeyboards": ("3EC4.1", "54BD.1"),
    "NSPrivacyAccessedAPICategoryUserDefaults": ("CA92.1", "1C8F.1", "C56D.1", "AC6B.1"),
}


def check_privacy(app: AppArchive) -> Check:
    """The app has a privacy manifest at its top, and all that it holds are well-formed."""
    if app.kind != "ipa":
        return not_applicable("privacy-manifest", "Android has none")
    manifests = [entry.name for entry in app.entries if PurePosixPath(entry.name).name == PRIVACY_NAME]
    faults = (
        [] if any(len(PurePosixPath(name).parts) == 3 for name in manifests) else [f"the app has no {PRIVACY_NAME}"]
    )
    for name in manifests:
        faults += [f"{name}: {fault}" for fault in privacy_faults(app.read(name, LARGEST_PLIST))]
    return verdict_of(
        "privacy-manifest", faults, f"{len(manifests)} well-formed", f"correct {PRIVACY_NAME} in the target"
    )


def privacy_faults(data: bytes) -> list[str]:
    """What Apple would not take in a privacy manifest."""
    try:
        document = plistlib.loads(data)
    except Exception as e:  # a broken one trips plistlib and expat in many ways, RecursionError among them
        return [f"is no property list ({reason(e)})"]
    if not isinstance(document, dict):
        return ["is a property list and no dictionary"]
    faults = [f"unknown key {bare(str(key))}" for key in document if key not in KEY_TYPES]
    faults += [
        f"{key} is {type(document[key]).__name__}, not {kind.__name__}"
        for key, kind in KEY_TYPES.items()
        if key in document and not isinstance(document[key], kind)
    ]
    accessed = document.get("NSPrivacyAccessedAPITypes")
    if accessed is None:
        return [*faults, "has no NSPrivacyAccessedAPITypes"]
    return faults + [
        fault for each in (accessed if isinstance(accessed, list) else []) for fault in reason_faults(each)
    ]


def reason_faults(accessed: Any) -> list[str]:
    """What is wrong with one required-reason entry."""
    if not isinstance(accessed, dict) or set(accessed) != {CATEGORY, REASONS}:
        return [f"an entry of NSPrivacyAccessedAPITypes has not just {CATEGORY} and {REASONS}"]
    category, reasons = accessed[CATEGORY], accessed[REASONS]
    if not isinstance(category, str) or category not in REASON_CODES:
        return [f"unknown category {shown(category)}"]
    if not isinstance(reasons, list) or not reasons:
        return [f"{category} has no reasons"]
    return [f"{category} has no reason {shown(r)}" for r in reasons if r not in REASON_CODES[category]]
