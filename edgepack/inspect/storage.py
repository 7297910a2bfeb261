"""The model lies uncompressed in what a phone installs, so that it is opened in place and not unpacked first.

In an .apk that is a fact of its zip entry. An .aab is compressed as a whole and only says what the .apk files made
from it shall store: globs in `BundleConfig.pb` (bundletool's config.proto: BundleConfig 3 compression; Compression 1
uncompressed_glob), relative to a module. `noCompress` in Gradle ends up there. iOS unpacks an .ipa on installation.
"""

from __future__ import annotations

from edgepack.errors import InputError
from edgepack.inspect.archive import AppArchive
from edgepack.inspect.check import Check, not_applicable, verdict_of
from edgepack.inspect.globs import matches, work
from edgepack.inspect.models import model_entries
from edgepack.runtime.protobuf import messages, parse_message, strings

LARGEST_CONFIG = 1 << 20  # bytes of BundleConfig.pb; a real one has hundreds
MOST_STEPS = 10**8  # of matching; a hundred globs and a hundred models take a tenth of it


def check_stored(app: AppArchive) -> Check:
    """Models are stored, not compressed."""
    models = model_entries(app)
    if app.kind == "ipa":
        return not_applicable("model-stored", "iOS unpacks an .ipa when it installs it")
    if app.kind == "apk":
        faults = [f"{entry.name} is compressed" for entry in models if not entry.stored]
        fine = f"{len(models)} models are stored"
    else:
        globs = uncompressed_globs(app.read("BundleConfig.pb", LARGEST_CONFIG))
        if work(globs, (entry.name for entry in models)) > MOST_STEPS:
            raise InputError(
                f"{app.path}: BundleConfig.pb has {len(globs)} globs for {len(models)} models, too many to match; "
                "build the app again"
            )
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
    return any(matches(glob, path) for glob in globs)
