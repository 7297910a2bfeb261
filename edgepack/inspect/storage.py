"""The model lies uncompressed in what a phone installs, so that it is opened in place and not unpacked first.

In an .apk that is a fact of its zip entry. An .aab is compressed as a whole and only says what the .apk files made
from it shall store: globs in `BundleConfig.pb` (bundletool's config.proto: BundleConfig 3 compression; Compression 1
uncompressed_glob), relative to a module. `noCompress` in Gradle ends up there. iOS unpacks an .ipa on installation.
"""

from __future__ import annotations

import re

from edgepack.inspect.archive import AppArchive
from edgepack.inspect.check import Check, not_applicable, verdict_of
from edgepack.inspect.models import model_entries
from edgepack.protobuf import messages, parse_message, strings

GLOB_PARTS = re.compile(r"\*\*|\*|\?|\[[^\]]*\]|\{[^}]*\}|.", re.DOTALL)


def check_stored(app: AppArchive) -> Check:
    """Models are stored, not compressed."""
    models = model_entries(app)
    if app.kind == "ipa":
        return not_applicable("model-stored", "iOS unpacks an .ipa when it installs it")
    if app.kind == "apk":
        faults = [f"{entry.name} is compressed" for entry in models if not entry.stored]
        fine = f"{len(models)} models are stored"
    else:
        globs = uncompressed_globs(app.read("BundleConfig.pb"))
        faults = [
            f"{e.name} matches no uncompressed glob of BundleConfig.pb" for e in models if not stays(e.name, globs)
        ]
        fine = f"{len(models)} models will be stored"
    return verdict_of("model-stored", faults, fine, 'set androidResources { noCompress += "ENDING" }')


def uncompressed_globs(config: bytes) -> list[str]:
    """What the .apk files shall store."""
    return [glob for compression in messages(parse_message(config), 3) for glob in strings(compression, 1)]


def stays(name: str, globs: list[str]) -> bool:
    """Whether an entry `MODULE/PATH` of an .aab is left uncompressed."""
    path = name.partition("/")[2]
    return any(re.fullmatch(glob_pattern(glob), path) for glob in globs)


def glob_pattern(glob: str) -> str:
    """A regular expression for a glob of `java.nio`: `**` crosses folders, `*` and `?` do not."""
    return "".join(_part_pattern(part) for part in GLOB_PARTS.findall(glob))


def _part_pattern(part: str) -> str:
    known = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    if part in known:
        return known[part]
    if part[0] == "[" and len(part) > 2:
        return "[" + ("^" if part[1] == "!" else "") + re.escape(part[1:-1].lstrip("!")).replace(r"\-", "-") + "]"
    if part[0] == "{":
        return "(?:" + "|".join(glob_pattern(choice) for choice in part[1:-1].split(",")) + ")"
    return re.escape(part)
