"""A tokenizer out of the files of the time before tokenizer.json: vocab.txt, or vocab.json with merges.txt.

vocab.txt is BERT's WordPiece: a token on each line, its number the id (Devlin et al. 2019, arXiv:1810.04805; MPNet
has RoBERTa's special tokens around it). vocab.json and merges.txt are byte-level BPE (Radford et al. 2019; RoBERTa).
The options of tokenizer_config.json are honoured, or refused by name where they ask for another algorithm.
A SentencePiece file alone is not read: its conversion needs a package that edgepack does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, WordPiece

from edgepack.bounded import read_file
from edgepack.errors import InputError, bare, shown
from edgepack.teacher.files import VOCABULARIES, read_json
from edgepack.teacher.tokenizer_settings import ROLES, USUAL, TokenizerSettings
from edgepack.tokenizer.library import LARGEST_FILE

CONVERT = (
    "write a tokenizer.json where transformers and sentencepiece are installed: "
    "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
)
SENTENCE_PIECE = ("spiece.model", "sentencepiece.bpe.model")
WORD_PIECE_CLASSES = (  # BERT's own algorithm, under other names too
    *("BertTokenizer", "ConvBertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "LayoutLMTokenizer"),
    *("LxmertTokenizer", "MobileBertTokenizer", "MPNetTokenizer", "RealmTokenizer", "RetriBertTokenizer"),
    "SqueezeBertTokenizer",
)
BYTE_LEVEL_CLASSES = ("RobertaTokenizer", "GPT2Tokenizer")
GENERIC_CLASSES = ("PreTrainedTokenizer", "TokenizersBackend", None)
OTHER_ALGORITHM: dict[str, tuple[Any, ...]] = {  # options with the values that leave the algorithm as it is
    "do_basic_tokenize": (None, True),
    "never_split": (None, []),
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
    "normalization": (None, False),
}


def build_tokenizer(folder: Path, settings: TokenizerSettings, what: str, framed: bool = True) -> Tokenizer:
    """The tokenizer that vocab.txt, or vocab.json with merges.txt, stands for.

    `framed`: a vocab.json must have tokens for a text's beginning and end; else its tokenizer may go without.
    """
    for option, harmless in OTHER_ALGORITHM.items():
        if settings.options.get(option) not in harmless:
            raise InputError(
                f"{what}: tokenizer_config.json says {option} {shown(settings.options[option])}, which vocab.txt alone "
                f"does not give; {CONVERT}"
            )
    if (folder / "vocab.txt").is_file():
        _check_class(settings, WORD_PIECE_CLASSES, "vocab.txt", what)
        return _word_piece(read_vocabulary(folder / "vocab.txt", what), settings, what)
    merges = (folder / "merges.txt").is_file()
    if (folder / "vocab.json").is_file() and merges:
        _check_class(settings, BYTE_LEVEL_CLASSES, "vocab.json", what)
        return _byte_level(folder, settings, what, framed)
    found = [name for name in (*VOCABULARIES, "merges.txt") if (folder / name).is_file()]
    if any(name in SENTENCE_PIECE for name in found):
        raise InputError(f"{what}: the tokenizer is a SentencePiece file alone ({', '.join(found)}); {CONVERT}")
    if found:
        raise InputError(
            f"{what}: the tokenizer is {', '.join(found)} alone, which is no whole vocabulary (vocab.json needs "
            f"merges.txt, WordPiece vocab.txt); {CONVERT}"
        )
    inner = sorted(path.parent.name for name in VOCABULARIES for path in folder.glob(f"*/{name}"))
    hint = f"those in {bare(inner[0])}" if inner else "those that it was trained with, often its base model's"
    raise InputError(
        f"{what}: no tokenizer; one of {', '.join(VOCABULARIES)} is needed: copy the files into the folder, {hint}"
    )


def _check_class(settings: TokenizerSettings, allowed: tuple[str, ...], file: str, what: str) -> None:
    if settings.class_name not in (*allowed, *GENERIC_CLASSES):
        raise InputError(
            f"{what}: tokenizer_class {shown(settings.class_name)} is not what {file} alone says; allowed: "
            f"{', '.join(allowed)}; {CONVERT}"
        )


def read_vocabulary(path: Path, what: str) -> dict[str, int]:
    """The tokens of a vocab.txt by their lines' numbers; lines may end as on any system, blank ones end the file."""
    try:
        text = read_file(path, LARGEST_FILE, f"{what}: {path.name}").decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise InputError(f"{what}: {path.name} is no UTF-8 text: {e}; copy or download the checkpoint again") from e
    tokens = _lines(text)
    vocabulary: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if token.strip() and ("\t" in token or token != token.strip(" ")):
            raise InputError(
                f"{what}: {path.name}:{number + 1}: {shown(token)} has a space or a tab; a token alone on each line is "
                "needed"
            )
        if token in vocabulary:
            raise InputError(
                f"{what}: {path.name}:{number + 1}: {shown(token)} stands twice, at {vocabulary[token] + 1} too; "
                "transformers takes the last one: if the teacher was trained so, write [unused1] or the like at the "
                "first"
            )
        vocabulary[token] = number
    return vocabulary


def _lines(text: str) -> list[str]:
    """The lines, ended as on any system, without blank ones at the end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")


def said_of_vocabulary_beside(folder: Path, backend: Tokenizer, what: str) -> list[str]:
    """A note where a vocab.txt or vocab.json beside tokenizer.json, which is read, gives a token another id."""
    found = []
    for path in filter(Path.is_file, (folder / "vocab.txt", folder / "vocab.json")):
        try:
            beside = read_vocabulary(path, what) if path.suffix == ".txt" else read_json(path, what)
        except InputError:  # nothing reads it: what is wrong with it does not matter
            continue
        others = [token for token, number in beside.items() if backend.token_to_id(token) != number]
        if others:
            found.append(
                f"{what}: {path.name} beside tokenizer.json has other ids for {len(others)} of its {len(beside)} "
                f"tokens, as {shown(others[0])}; tokenizer.json is read: if the teacher was trained with {path.name}, "
                "move tokenizer.json away"
            )
    return found


def special_tokens(settings: TokenizerSettings, vocabulary: Mapping[str, int]) -> dict[str, str]:
    """A token for each role that has one: as the files name it, else the usual one that the vocabulary has."""
    found = dict(settings.special)
    for role, usual in USUAL.items():
        known = next((token for token in usual if token in vocabulary), None)
        if role not in found and known is not None:
            found[role] = known
    return {role: found[role] for role in ROLES if role in found}


def _word_piece(vocabulary: dict[str, int], settings: TokenizerSettings, what: str) -> Tokenizer:
    lower = settings.options.get("do_lower_case")
    capitals = [t for t in vocabulary if t != t.lower() and not (t.startswith("[") and t.endswith("]"))]
    if lower is None and len(capitals) > len(vocabulary) // 100:
        raise InputError(
            f"{what}: vocab.txt holds tokens with capitals ({shown(capitals[0])}), and nothing says whether text is "
            "lower-cased; write do_lower_case true or false into tokenizer_config.json"
        )
    special = special_tokens(settings, vocabulary)
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=special.get("unk", "[UNK]")))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.flag("tokenize_chinese_chars", True),
        strip_accents=settings.options.get("strip_accents"),
        lowercase=settings.flag("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    first, last = _ends(special, vocabulary, "vocab.txt", what)
    if first == "<s>":  # MPNet's
        tokenizer.post_processor = processors.RobertaProcessing(
            (last, vocabulary[last]), (first, vocabulary[first]), trim_offsets=True, add_prefix_space=False
        )
    else:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}",
            pair=f"{first} $A {last} $B:1 {last}:1",
            special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
        )
    return tokenizer


def _byte_level(folder: Path, settings: TokenizerSettings, what: str, framed: bool) -> Tokenizer:
    vocabulary = read_json(folder / "vocab.json", what)
    bad = [token for token, number in vocabulary.items() if type(number) is not int or not 0 <= number < 2**31]
    if bad:
        raise InputError(
            f"{what}: vocab.json gives {shown(bad[0])} the id {shown(vocabulary[bad[0]])}; a number is needed"
        )
    try:
        data = read_file(folder / "merges.txt", LARGEST_FILE, f"{what}: merges.txt")
        lines = _lines(data.decode("utf-8-sig"))
    except UnicodeDecodeError as e:
        raise InputError(f"{what}: merges.txt is no UTF-8 text: {e}; copy or download the checkpoint again") from e
    pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    wrong = [pair for pair in pairs if len(pair) != 2]
    if wrong:
        raise InputError(f"{what}: merges.txt holds {shown(' '.join(wrong[0]))}; two parts with a space are needed")
    space = settings.flag("add_prefix_space", False)
    tokenizer = Tokenizer(BPE(vocabulary, [(first, second) for first, second in pairs]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    special = special_tokens(settings, vocabulary)
    if not framed and not {special.get("cls"), special.get("sep")} <= set(vocabulary):
        return tokenizer
    first, last = _ends(special, vocabulary, "vocab.json", what)
    tokenizer.post_processor = processors.RobertaProcessing(
        (last, vocabulary[last]),
        (first, vocabulary[first]),
        trim_offsets=settings.flag("trim_offsets", True),
        add_prefix_space=space,
    )
    mask = special.get("mask")
    if mask in vocabulary:  # as RoBERTa's: the space before it belongs to it
        tokenizer.add_special_tokens([AddedToken(str(mask), lstrip=True, special=True, normalized=False)])
    return tokenizer


def _ends(special: Mapping[str, str], vocabulary: Mapping[str, int], file: str, what: str) -> tuple[str, str]:
    """The tokens that a text begins and ends with."""
    for role, name in (("cls", "[CLS] or <s>"), ("sep", "[SEP] or </s>")):
        if special.get(role) not in vocabulary:
            named = f"{shown(special[role])}, its {role}_token," if role in special else f"a {role}_token ({name})"
            raise InputError(f"{what}: {file} lacks {named} so it is not this teacher's vocabulary; give its own")
    return special["cls"], special["sep"]
