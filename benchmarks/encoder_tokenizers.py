"""Tokenizers of the encoder teachers: pipelines and special tokens as checkpoints of each family have them.

- RoBERTa: GPT-2's 50,257 tokens and merges, four special tokens before them, three unused ones and `<mask>` behind.
  RoBERTa itself orders GPT-2's tokens by frequency; here they keep GPT-2's order.
- ModernBERT: GPT-2's again, behind them runs of 24 to 2 spaces as added tokens, the special tokens and 83 unused ones;
  NFC first. ModernBERT's own merges are OLMo's.
- XLM-R: Unigram, trained here; SentencePiece's map of characters, then words at spaces with `▁` before each.
- DeBERTa-v2: Unigram, trained here; ends stripped, the same map, spaces folded to one, `▁` for a space.

The map of characters is that of a SentencePiece model in the shared folder: `nmt_nfkc`, which both families have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram
from tokenizers.trainers import UnigramTrainer
from transformers import PreTrainedTokenizerFast

from edgepack.errors import InputError
from edgepack.runtime.protobuf import messages, parse_message

GPT2, SENTENCEPIECE = "data/tokenizers/gpt2", "data/tokenizers/albert-de/spiece.model"  # under the shared folder
NORMALIZER, CHARACTER_MAP = 3, 2  # field numbers of SentencePiece's ModelProto and NormalizerSpec
SPACE_RUNS = range(24, 1, -1)
UNUSED_WORDS, UNUSED = 3, 83  # RoBERTa's, ModernBERT's
UNUSED_PIECE = "\ue000"  # of a private use area
LONGEST = 512  # tokens
UNIGRAM_SUBWORDS = 16  # characters of the longest piece, as SentencePiece's default


def roberta_tokenizer(shared: Path) -> PreTrainedTokenizerFast:
    """RoBERTa's conventions over GPT-2's merges."""
    words, merges = _gpt2(shared)
    front = ["<s>", "<pad>", "</s>", "<unk>"]
    rest = [*words, *(f"madeupword{number:04}" for number in range(UNUSED_WORDS)), "<mask>"]
    vocabulary = {token: index for index, token in enumerate([*front, *rest])}
    tokenizer = Tokenizer(BPE(vocabulary, merges, unk_token=None, fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", vocabulary["</s>"]), ("<s>", vocabulary["<s>"]), trim_offsets=True, add_prefix_space=False
    )
    tokenizer.add_special_tokens([*front, AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    return _wrapped(tokenizer, "<s> <s> </s> </s> <pad> <unk> <mask>", bos=True)


def modernbert_tokenizer(shared: Path) -> PreTrainedTokenizerFast:
    """ModernBERT's conventions over GPT-2's merges."""
    words, merges = _gpt2(shared)
    tokenizer = Tokenizer(BPE({token: index for index, token in enumerate(words)}, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.add_tokens([AddedToken(" " * count, normalized=True) for count in SPACE_RUNS])
    tokenizer.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]"])
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True, normalized=False)])
    tokenizer.add_tokens([AddedToken(f"[unused{number}]", normalized=True) for number in range(UNUSED)])
    tokenizer.post_processor = _template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]")
    return _wrapped(tokenizer, "[CLS] [CLS] [SEP] [SEP] [PAD] [UNK] [MASK]")


def xlmr_tokenizer(texts: Iterable[str], size: int, shared: Path) -> PreTrainedTokenizerFast:
    """XLM-R's conventions over a Unigram vocabulary of `size` pieces trained on `texts`."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.Precompiled(_character_map(shared))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    _train(tokenizer, texts, size, ["<s>", "<pad>", "</s>", "<unk>"], "<unk>")
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    tokenizer.post_processor = _template(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>")
    return _wrapped(tokenizer, "<s> <s> </s> </s> <pad> <unk> <mask>", bos=True)


def longer(tokenizer: PreTrainedTokenizerFast, size: int) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer of these with pieces that no text has, up to `size` tokens; the mask stays the last."""
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    pieces = document["model"]["vocab"]
    lowest = min(score for _, score in pieces)
    pieces += [[f"{UNUSED_PIECE}{number}", lowest] for number in range(size - 1 - len(pieces))]
    for added in document["added_tokens"]:
        if added["content"] == tokenizer.mask_token:
            added["id"] = size - 1
    backend = Tokenizer.from_str(json.dumps(document))
    roles = ("bos", "cls", "eos", "sep", "pad", "unk", "mask")
    return _wrapped(backend, " ".join(str(getattr(tokenizer, f"{role}_token")) for role in roles), bos=True)


def deberta_tokenizer(texts: Iterable[str], size: int, shared: Path) -> PreTrainedTokenizerFast:
    """DeBERTa-v2's conventions over a Unigram vocabulary of `size` pieces trained on `texts`."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Strip(),
            normalizers.Precompiled(_character_map(shared)),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    _train(tokenizer, texts, size, ["[PAD]", "[CLS]", "[SEP]", "[UNK]"], "[UNK]")
    tokenizer.add_special_tokens(["[MASK]"])
    tokenizer.post_processor = _template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    return _wrapped(tokenizer, "[CLS] [CLS] [SEP] [SEP] [PAD] [UNK] [MASK]", bos=True)


def _gpt2(shared: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """GPT-2's tokens by id, and its merges in order."""
    numbers = json.loads((shared / GPT2 / "vocab.json").read_text(encoding="utf-8"))
    lines = (shared / GPT2 / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    return sorted(numbers, key=lambda token: int(numbers[token])), [(left, right) for left, right in merges]


def _character_map(shared: Path) -> bytes:
    """The map of characters in a SentencePiece model."""
    model = parse_message((shared / SENTENCEPIECE).read_bytes())
    found = [value for spec in messages(model, NORMALIZER) for value in spec.get(CHARACTER_MAP, [])]
    if len(found) != 1 or not isinstance(found[0], bytes):
        raise InputError(f"{SENTENCEPIECE}: has {len(found)} maps of characters; 1 is needed")
    return found[0]


def _train(tokenizer: Tokenizer, texts: Iterable[str], size: int, front: Sequence[str], unknown: str) -> None:
    """Train the pieces; one id is left for the mask."""
    trainer = UnigramTrainer(
        vocab_size=size - 1,
        special_tokens=list(front),
        unk_token=unknown,
        max_piece_length=UNIGRAM_SUBWORDS,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    found = tokenizer.get_vocab_size()
    if found < size - 1:
        raise InputError(
            f"the texts give {found:,} pieces, {size:,} are wanted; give more text or ask for fewer pieces"
        )


def _template(tokenizer: Tokenizer, single: str, pair: str) -> processors.TemplateProcessing:
    named = {piece.split(":")[0] for piece in f"{single} {pair}".split() if not piece.startswith("$")}
    return processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(token, tokenizer.token_to_id(token)) for token in sorted(named)]
    )


def _wrapped(tokenizer: Tokenizer, specials: str, bos: bool = False) -> PreTrainedTokenizerFast:
    """In transformers' class; `specials`: tokens for a text's begin, class, end, separator, pad, unknown, mask."""
    begin, first, end, separator, pad, unknown, mask = specials.split()
    ends = {"bos_token": begin, "eos_token": end} if bos else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=LONGEST,
        cls_token=first,
        sep_token=separator,
        pad_token=pad,
        unk_token=unknown,
        mask_token=mask,
        **ends,
    )
