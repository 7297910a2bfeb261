"""The families whose layers a student can be carved out of, and how their checkpoints differ: one literal table.

A family is a `model_type`. XLM-RoBERTa and CamemBERT are RoBERTa's model under another name, with weights called
`roberta.…`; distilled checkpoints (DistilRoBERTa, MiniLM, multilingual e5) carry the family of their teacher. Where
the weights of a layer are belongs to `student/from_teacher.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """`prefix`: what stands before an encoder's names; `layers`: what stands between it and a layer's number.

    `one_segment`: the model takes no token types, or only one. `offset_positions`: its position ids start behind
    `pad_token_id`.
    """

    prefix: str
    layers: str = "encoder.layer."
    word_table: str = "embeddings.word_embeddings.weight"
    one_segment: bool = False
    offset_positions: bool = False


ROBERTA = Family("roberta", one_segment=True, offset_positions=True)
FAMILIES: dict[str, Family] = {
    "bert": Family("bert"),
    "distilbert": Family("distilbert", "transformer.layer.", one_segment=True),
    "roberta": ROBERTA,
    "electra": Family("electra"),
    "albert": Family("albert", "encoder.albert_layer_groups."),
    "mpnet": Family("mpnet", one_segment=True, offset_positions=True),
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "data2vec-text": Family("data2vec_text", one_segment=True, offset_positions=True),
    "ernie": Family("ernie"),
    "rembert": Family("rembert"),
    "xlm": Family("transformer", "attentions.", "embeddings.weight", one_segment=True),
    "flaubert": Family("transformer", "attentions.", "embeddings.weight", one_segment=True),
}
