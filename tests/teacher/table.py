"""The teachers that are supported: the rows of the table in docs/inputs.md, each held by a test."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """`model`: its name in docs; `family`: config.json's `model_type`."""

    model: str
    family: str
    tokenizer: str
    start: str
    tasks: str


CARVED = "its own layers"
BOTH = "text, tokens"
ROWS = (
    Row("BERT, MiniLM", "bert", "WordPiece", CARVED, BOTH),
    Row("multilingual MiniLM, e5-small", "bert", "Unigram", CARVED, BOTH),
    Row("DistilBERT", "distilbert", "WordPiece", CARVED, BOTH),
    Row("ELECTRA", "electra", "WordPiece", CARVED, BOTH),
    Row("ERNIE", "ernie", "WordPiece", CARVED, BOTH),
    Row("MPNet", "mpnet", "WordPiece", CARVED, BOTH),
    Row("RoBERTa, DistilRoBERTa", "roberta", "byte-level BPE", CARVED, BOTH),
    Row("Data2VecText", "data2vec-text", "byte-level BPE", CARVED, BOTH),
    Row("XLM-RoBERTa, e5-base", "xlm-roberta", "Unigram", CARVED, BOTH),
    Row("CamemBERT", "camembert", "Unigram", CARVED, BOTH),
    Row("ALBERT", "albert", "Unigram", CARVED, BOTH),
    Row("RemBERT", "rembert", "Unigram", CARVED, BOTH),
    Row("XLM", "xlm", "byte-level BPE", CARVED, BOTH),
    Row("FlauBERT", "flaubert", "byte-level BPE", CARVED, BOTH),
)
