"""Tiny tokenizers of each kind that teachers have, with the pipelines of the files on the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from tokenizers.trainers import UnigramTrainer
from transformers import PreTrainedTokenizerFast

from edgepack.demo.base import make_tokenizer
from tests.teacher.tiny import SENTENCES, byte_level_tokenizer

TEXTS = [*SENTENCES, "café ½ song, naïve music now", "the very last play"]


def unigram_tokenizer(texts: Sequence[str] = TEXTS) -> PreTrainedTokenizerFast:
    """XLM-R's kind: compatibility forms folded, spaces as ▁, `<s>` and `</s>` around a text."""
    tokenizer = Tokenizer(Unigram())
    # on the hub a Precompiled map does the folding; it cannot be made without SentencePiece
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = UnigramTrainer(vocab_size=120, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(list(texts) * 9, trainer)
    numbers = {token: tokenizer.token_to_id(token) for token in ("<s>", "</s>")}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=list(numbers.items())
    )
    named = zip(("bos", "cls", "eos", "sep", "pad", "unk", "mask"), _roles(specials), strict=True)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{f"{role}_token": token for role, token in named})


def write_bare(folder: Path) -> Path:
    """GPT-2's kind of files: a vocabulary and merges, no special token."""
    document = json.loads(byte_level_tokenizer().backend_tokenizer.to_str())["model"]
    added = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    kept = [token for token in document["vocab"] if token not in added]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(kept)}))
    merges = (merge if isinstance(merge, str) else " ".join(merge) for merge in document["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{merge}\n" for merge in merges))
    return folder


def _roles(specials: Sequence[str]) -> tuple[str, ...]:
    begin, pad, end, unknown, mask = specials
    return (begin, begin, end, end, pad, unknown, mask)


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "WordPiece": lambda: make_tokenizer(TEXTS),
    "byte-level BPE": byte_level_tokenizer,
    "Unigram": unigram_tokenizer,
}
