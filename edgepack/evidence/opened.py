"""A bundle whose files are as recorded, opened part by part: each is read once, when the first check asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edgepack.bundle.goldens import GOLDEN_NAME, load_tokenizer, read_goldens
from edgepack.bundle.layout import TOKENIZER_NAME
from edgepack.bundle.manifest import BundleManifest, read_bounded, read_json, read_model
from edgepack.bundle.verdict import VERDICT_NAME, Verdict
from edgepack.runtime import Session, load
from edgepack.runtime.face import Face, read_face
from edgepack.target import Target
from edgepack.tokenizer.asset import ASSET_NAME
from edgepack.tokenizer.reader import AssetTokenizer, read_tokenizer_asset


@dataclass(frozen=True, eq=False)
class OpenBundle:
    """A bundle's parts; each raises `InputError` where it is damaged, and the runtime's own errors where it is none."""

    folder: Path
    manifest: BundleManifest
    target: Target

    @cached_property
    def verdict(self) -> Verdict:
        """What the validation found."""
        return read_model(self.folder / VERDICT_NAME, Verdict)

    @cached_property
    def tokenizer_document(self) -> dict[str, Any]:
        """`tokenizer.json` as JSON."""
        return read_json(self.folder / TOKENIZER_NAME)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The reference tokenizer, without truncation and padding."""
        tokenizer = load_tokenizer(self.folder / TOKENIZER_NAME)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def token_ids(self) -> dict[str, int]:
        """Token → id, added ones included."""
        ids: dict[str, int] = self.tokenizer.get_vocab(with_added_tokens=True)
        return ids

    @cached_property
    def asset(self) -> AssetTokenizer | None:
        """The reader of `tokenizer.bin`; None where the tokenizer ships as JSON."""
        path = self.folder / ASSET_NAME
        return read_tokenizer_asset(read_bounded(path)) if path.is_file() else None

    @cached_property
    def goldens(self) -> list[dict[str, Any]]:
        """The golden vectors, each of the right shape."""
        return list(read_goldens(self.folder / GOLDEN_NAME))

    @cached_property
    def face(self) -> Face:
        """What the model file says of itself."""
        return read_face(self.folder / self.target.file, self.target)

    @cached_property
    def session(self) -> Session:
        """The artifact in its runtime."""
        return load(self.folder / self.target.file, self.target, threads=1)
