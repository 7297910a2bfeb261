"""Build hook: README as a package index shows it, where the files next to it are not.

`EDGEPACK_REPOSITORY_URL` names the public repository while a wheel or source archive is built, for example
`https://example.com/owner/edgepack`. README's relative links then lead to `URL/blob/vVERSION/…` and its pictures to
`URL/raw/vVERSION/…`, as GitHub and Gitea serve them. Without the variable pictures are left out and links become plain
words, so nothing on the index leads nowhere. Links with a scheme, and those within the page, stay as they are.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

VARIABLE = "EDGEPACK_REPOSITORY_URL"
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<place>[^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#")
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


class ReadmeHook(MetadataHookInterface):
    """Fills in the `readme` that pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the rewritten README."""
        root = Path(self.root)
        found = VERSION.search((root / "edgepack" / "_version.py").read_text(encoding="utf-8"))
        if found is None:
            raise ValueError("edgepack/_version.py has no line __version__ = …; README's links need it")
        text = (root / "README.md").read_text(encoding="utf-8")
        text = for_index(text, os.environ.get(VARIABLE, ""), f"v{found[1]}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def for_index(text: str, repository: str, tag: str) -> str:
    """The page with its relative links made absolute, or taken out where `repository` is empty."""

    def rewrite(match: re.Match[str]) -> str:
        if ELSEWHERE.match(match["place"]):
            return match[0]
        if not repository:
            return "" if match["picture"] else match["text"]
        kind = "raw" if match["picture"] else "blob"
        return f"{match['picture']}[{match['text']}]({repository.rstrip('/')}/{kind}/{tag}/{match['place']})"

    # code is left alone: every second part lies between fences
    parts = FENCE.split(text)
    return "".join(part if number % 2 else LINK.sub(rewrite, part) for number, part in enumerate(parts))
