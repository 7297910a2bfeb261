"""What an Android manifest asks for: permissions that a model on the device has no need of, and a debuggable build.

A classifier that runs on the device needs no network, so INTERNET is refused unless the app downloads its model
(`--on-demand`) or has reasons of its own (`--allow PERMISSION`). A permission that ends with an Android version
(`maxSdkVersion`) counts like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.inspect.archive import AppArchive
from edgepack.inspect.axml import parse_axml
from edgepack.inspect.check import Check, verdict_of
from edgepack.inspect.element import Element
from edgepack.inspect.proto_xml import parse_proto_xml

LARGEST_MANIFEST = 4 << 20  # bytes, of all modules together; the largest apps have half a million
INTERNET = "android.permission.INTERNET"
# Permissions that no on-device text model needs; stores ask for a form or a reason for the last three.
FORBIDDEN = (
    INTERNET,
    "android.permission.MANAGE_EXTERNAL_STORAGE",
    "android.permission.QUERY_ALL_PACKAGES",
    "android.permission.REQUEST_INSTALL_PACKAGES",
)
PERMISSION_ELEMENTS = ("uses-permission", "uses-permission-sdk-23", "uses-permission-sdk-m")


@dataclass(frozen=True)
class AndroidManifest:
    """What the checks read; `permissions` of all of an app's modules."""

    permissions: frozenset[str]
    debuggable: bool


def read_android_manifest(app: AppArchive) -> AndroidManifest:
    """The manifest of an .apk, or those of an .aab's modules taken together."""
    if app.kind == "apk":
        return facts([parse_axml(app.read("AndroidManifest.xml", LARGEST_MANIFEST))])
    modules = [entry.name for entry in app.entries if entry.name.endswith("/manifest/AndroidManifest.xml")]
    return facts([parse_proto_xml(data) for data in app.read_all(modules, LARGEST_MANIFEST)])


def facts(roots: list[Element]) -> AndroidManifest:
    """What the manifests say."""
    elements = [element for root in roots for element in root.walk()]
    permissions = {e.attributes.get("name", "") for e in elements if e.name in PERMISSION_ELEMENTS}
    debuggable = any(e.attributes.get("debuggable") == "true" for e in elements if e.name == "application")
    return AndroidManifest(frozenset(permissions), debuggable)


def check_permissions(manifest: AndroidManifest, allowed: frozenset[str]) -> Check:
    """No permission that an on-device model has no need of."""
    found = sorted(manifest.permissions & set(FORBIDDEN) - allowed)
    remedy = "remove it, or give --on-demand or --allow if the app needs it"
    return verdict_of("permissions", found, f"{len(manifest.permissions)} requested, none forbidden", remedy)


def check_debuggable(debuggable: bool, key: str) -> Check:
    """Not a build for a debugger; stores refuse it. `key` is what says so."""
    faults = [f"{key} is true"] if debuggable else []
    return verdict_of("debuggable", faults, f"{key} is not set", "build the release variant")
