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
PARTS = "parts of its layers"
TABLE = "its word table"
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
    Row("DeBERTa", "deberta", "byte-level BPE", PARTS, BOTH),
    Row("DeBERTa-v2, v3", "deberta-v2", "Unigram", PARTS, BOTH),
    Row("ModernBERT", "modernbert", "byte-level BPE", TABLE, BOTH),
    Row("EuroBERT", "eurobert", "byte-level BPE", TABLE, BOTH),
    Row("NomicBERT", "nomic_bert", "WordPiece", TABLE, BOTH),
    Row("MobileBERT", "mobilebert", "WordPiece", TABLE, BOTH),
    Row("ConvBERT", "convbert", "WordPiece", TABLE, BOTH),
    Row("Funnel", "funnel", "WordPiece", TABLE, BOTH),
    Row("FNet", "fnet", "Unigram", TABLE, BOTH),
    Row("BigBird", "big_bird", "Unigram", PARTS, BOTH),
    Row("Longformer", "longformer", "byte-level BPE", PARTS, BOTH),
    Row("RoBERTa-PreLayerNorm", "roberta-prelayernorm", "byte-level BPE", TABLE, BOTH),
    Row("XLM-RoBERTa-XL", "xlm-roberta-xl", "Unigram", TABLE, BOTH),
    Row("Llama", "llama", "byte-level BPE", TABLE, BOTH),
    Row("GPT-2, trained with special tokens around a text", "gpt2", "byte-level BPE", TABLE, BOTH),
)
