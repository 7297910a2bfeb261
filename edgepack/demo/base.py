"""A base checkpoint made here: a WordPiece vocabulary of the demo's words and a small random BERT.

There is nothing pretrained in it, so the demo needs no download. It stands in for the checkpoint that a
user would fine-tune; a real one knows the language before it sees the task, and is the better choice.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from edgepack.teacher import quiet_transformers

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-"  # words that training never saw still have pieces
VOCAB_SIZE = 2000
MAX_LENGTH = 128


def write_base(folder: Path, train: Path, seed: int = 0) -> Path:
    """Write a base checkpoint for the sentences of `train` (TSV with a `text` column) into `folder`."""
    with train.open(encoding="utf-8", newline="") as file:
        sentences = [row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    tokenizer = make_tokenizer(sentences)
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(seed)
        BertModel(_shape(len(tokenizer))).save_pretrained(folder)
    return folder


def make_tokenizer(sentences: list[str]) -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer with BERT's special tokens; the same sentences give the same ids."""
    pieces = _pieces(sentences)
    tokenizer = Tokenizer(WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _pieces(sentences: list[str]) -> list[str]:
    """Special tokens, characters, the sentences' words, then their commonest endings, up to `VOCAB_SIZE`.

    Counting is enough for a small language, and unlike `WordPieceTrainer` it breaks ties the same way each time.
    """
    words = Counter(word for sentence in sentences for word, _ in BertPreTokenizer().pre_tokenize_str(sentence))
    endings = Counter(f"##{word[-n:]}" for word in words for n in range(2, 5) if n < len(word))
    characters = [prefix + character for prefix in ("", "##") for character in ALPHABET]
    ranked = [piece for counts in (words, endings) for piece in sorted(counts, key=lambda p: (-counts[p], p))]
    return list(dict.fromkeys([*SPECIAL_TOKENS, *characters, *ranked]))[:VOCAB_SIZE]


def _shape(vocab_size: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=6,
        intermediate_size=768,
        max_position_embeddings=MAX_LENGTH,
    )
