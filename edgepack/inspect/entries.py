"""Names of a zip's entries: each one once, and none that leads outside the app.

Android refuses an .apk that holds a name twice, since the signature covers one of the two and the app may open the
other; a name with `..` writes outside the folder that a tool unpacks into.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from edgepack.inspect.archive import AppArchive
from edgepack.inspect.check import Check, verdict_of


def check_entries(app: AppArchive) -> Check:
    """Names are unique and stay inside."""
    counts = Counter(entry.name for entry in app.entries)
    faults = [f"{name} is there {count} times" for name, count in counts.items() if count > 1]
    faults += [
        f"{name} leads outside the app" for name in counts if name[:1] == "/" or ".." in PurePosixPath(name).parts
    ]
    return verdict_of("entries", faults, f"{len(counts)} names, each once", "build the app again from a clean tree")
