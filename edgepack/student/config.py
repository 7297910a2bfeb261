"""The student's shape: every compression method is a point in this one space.

Layers own LayerNorms; their big weights live in numbered *weight sets*. `attention_sharing[i]` names
the attention weight set that layer `i` uses and `ffn_sharing[i]` its feed-forward set, so no sharing is
`[0, 1, 2, …]`, ALBERT is `[0, 0, 0, …]` (Lan et al. 2020, arXiv:1909.11942), Subformer's sandwich is
`[0, 1, 1, 1, 2]` (Reid et al. 2021, arXiv:2101.00234). Head counts, head sizes, intermediate sizes and ranks
are given for each weight set, so uneven shapes are ordinary ones.
"""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from edgepack.errors import InputError
from edgepack.quantization import BITS, BitWidth, bit_width, small_table_width
from edgepack.task.similarity import EMBEDS, POOLINGS, VECTOR_NAME

EMBEDDING_PROJECTIONS = ("identity", "linear", "self_attentive")
KERNELS = (1, 3, 5)  # words that a convolution over word vectors reads
NORMS = ("layer_norm", "no_norm")
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "tanh")
ATTENTION_MATRICES = ("query", "key", "value", "output")
FFN_MATRICES = ("up", "down")
MATRICES = ATTENTION_MATRICES + FFN_MATRICES


@strict
class StudentConfig(PreTrainedConfig):
    """Shape, task head and bit widths of a student.

    Sizes are counts of units; `ranks[matrix][set]` is the rank of a factorized weight matrix, 0 for a
    full one. `vocab_map[i]` is the id of student token `i` before trimming, the teacher's where the tokenizer is
    (`None`: the same ids).
    `body_bits` and `embedding_bits` set how weights are rounded when the model runs; 32 is not at all, 1 is ternary.
    In code they are `BitWidth`s: `body_width`, `embedding_width`, `small_table_width`, `width_of(matrix)`.

    `embedding_kernel`: how many words a convolution over the word vectors reads, a token's own and as many on each side
    (MobileBERT: Sun et al. 2020, arXiv:2004.02984, §3.1). 1: the word vectors are projected as they are.

    `match_separator`: id of the token between the two texts of a pair, in a student that adds a vector to each token
    that the other text has too (`student/match.py`); None: it does not.

    `wide_rows`: rows of a table of scores beside the encoder, 0: none. A token has the row of its id modulo the rows;
    the mean of a text's rows is added to its logits (wide and deep: Cheng et al. 2016, arXiv:1606.07792).

    A student that embeds texts has no labels: `pooling` makes one vector of a text's tokens, `vector_size` is the size
    that a linear layer gives it (0: no such layer), `head_act` what follows, and `normalized` makes its length 1.
    """

    model_type = "edgepack-student"

    vocab_size: int = 30522
    vocab_map: list[int] | None = None
    embedding_size: int = 128
    embedding_projection: str = "linear"
    embedding_kernel: int = 1  # KERNELS; above 1 with embedding_projection "linear" only
    embedding_intermediate_size: int = 0  # self_attentive only
    embedding_num_heads: int = 0  # self_attentive only
    norm_before_projection: bool = False  # ALBERT, ELECTRA: sum and norm at size E, then project
    projection_bias: bool = False
    hidden_size: int = 384
    num_hidden_layers: int = 6
    attention_sharing: list[int] | None = None
    ffn_sharing: list[int] | None = None
    num_heads: list[int] | None = None
    head_sizes: list[int] | None = None
    intermediate_sizes: list[int] | None = None
    ranks: dict[str, list[int]] | None = None
    hidden_act: str = "gelu"
    norm: str = "layer_norm"
    norm_eps: float = 1e-12
    max_position_embeddings: int = 512
    type_vocab_size: int = 0
    relative_attention_buckets: int = 0  # MPNet: T5-style bucketed relative position bias
    relative_attention_max_distance: int = 128
    head_act: str | None = "tanh"  # sequence head's dense layer; None: no dense layer (token heads)
    head_size: int = 0  # units of that layer; 0: as many as hidden_size
    task: str = "text-classification"
    pooling: str = "first"  # the others, and the next two, are of feature-extraction only
    vector_size: int = 0
    normalized: bool = False
    match_separator: int | None = None
    wide_rows: int = 0  # of text-classification only
    pad_token_id: int = 0
    body_bits: int = 32
    embedding_bits: int = 32
    widths: dict[str, int] | None = None  # of matrices that differ from body_bits: `attention.0.qkv`, `head.dense`
    block_size: int = 32  # columns that share a multiplier, below 8 bits
    learned_scales: bool = False  # the blocks' steps are parameters: trained, not chosen by the weights

    def __post_init__(self, **kwargs: Any) -> None:
        layers = self.num_hidden_layers
        self.attention_sharing = self.attention_sharing or list(range(layers))
        self.ffn_sharing = self.ffn_sharing or list(range(layers))
        attention_sets, ffn_sets = self.num_attention_sets, self.num_ffn_sets
        self.num_heads = self.num_heads or [12] * attention_sets
        self.head_sizes = self.head_sizes or [32] * attention_sets
        self.intermediate_sizes = self.intermediate_sizes or [4 * self.hidden_size] * ffn_sets
        ranks = dict(self.ranks or {})
        for matrix in MATRICES:
            ranks.setdefault(matrix, [0] * (ffn_sets if matrix in FFN_MATRICES else attention_sets))
        self.ranks = ranks
        super().__post_init__(**kwargs)
        check_shape(self)
        check_match(self)

    @property
    def num_attention_sets(self) -> int:
        """How many different attention weight sets there are."""
        return max(self.attention_sharing or [-1]) + 1

    @property
    def num_ffn_sets(self) -> int:
        """How many different feed-forward weight sets there are."""
        return max(self.ffn_sharing or [-1]) + 1

    @property
    def sum_size(self) -> int:
        """Size at which word, position and type embeddings are added: `E` or `H`."""
        at_embedding_size = self.norm_before_projection or self.embedding_projection == "self_attentive"
        return self.embedding_size if at_embedding_size else self.hidden_size

    @property
    def per_token(self) -> bool:
        """Whether the head answers each token."""
        return self.task == "token-classification"

    @property
    def reads_first(self) -> bool:
        """Whether the head reads the first token and no other."""
        return not self.per_token and self.pooling == "first"

    @property
    def first_token_layer(self) -> int | None:
        """The last layer, where the head reads its first token alone."""
        return self.num_hidden_layers - 1 if self.reads_first else None

    @property
    def outputs(self) -> int:
        """How many numbers the head gives: one for each label, or the size of a text's vector."""
        return (self.vector_size or self.hidden_size) if self.task == EMBEDS else self.num_labels

    @property
    def output_name(self) -> str:
        """What files call the output."""
        return VECTOR_NAME if self.task == EMBEDS else "logits"

    @property
    def has_classifier(self) -> bool:
        """Whether the head ends in a linear layer: not where a text's vector is the pooled one."""
        return self.task != EMBEDS or self.vector_size > 0

    @property
    def classifier_inputs(self) -> int:
        """Inputs of the classifier: the units of the head's dense layer, or the hidden size."""
        return (self.head_size or self.hidden_size) if self.has_dense else self.hidden_size

    @property
    def has_dense(self) -> bool:
        """Whether the head has a dense layer before its classifier."""
        return self.head_act is not None and self.task != EMBEDS

    @property
    def body_width(self) -> BitWidth:
        """How matrices are rounded that `widths` does not name."""
        return bit_width(self.body_bits)

    @property
    def embedding_width(self) -> BitWidth:
        """How the word table is rounded."""
        return bit_width(self.embedding_bits)

    @property
    def small_table_width(self) -> BitWidth:
        """How the positions and the wide table are rounded."""
        return small_table_width(self.embedding_width)

    def width_of(self, matrix: str) -> BitWidth:
        """How one weight matrix is rounded, by its path or a factor's: `feed_forward.0.up`, `feed_forward.0.up.down`.

        Queries, keys and values of a set are one matrix, `attention.0.qkv`.
        """
        if not self.body_width.is_rounded or not self.widths:
            return self.body_width
        for name, bits in self.widths.items():
            if matrix == name or matrix.startswith(f"{name}."):
                return bit_width(bits)
        return self.body_width

    @property
    def multiplies_codes(self) -> bool:
        """Whether the embedding's projection multiplies the word table's codes themselves, which are whole numbers."""
        return self.embedding_width.centred and self.can_convolve

    @property
    def has_projection(self) -> bool:
        """Whether a linear map leads from the embedding size to the hidden size."""
        return self.embedding_projection == "linear"

    @property
    def can_convolve(self) -> bool:
        """Whether words have vectors of their own, which a convolution can read: they are projected before the sum."""
        return self.has_projection and not self.norm_before_projection

    @property
    def neighbours(self) -> tuple[int, ...]:
        """Places that the convolution reads besides a token's own, from it: −2, −1, 1, 2."""
        reach = self.embedding_kernel // 2
        return tuple(place for place in range(-reach, reach + 1) if place)


def changed_config(config: StudentConfig, **changes: Any) -> StudentConfig:
    """A new config with some fields changed; lists are checked against each other again."""
    fields = {**config.to_dict(), **changes}
    for name in ("model_type", "transformers_version", "architectures", "dtype"):
        fields.pop(name, None)
    return StudentConfig(**fields)


def check_wide(config: StudentConfig) -> None:
    """Raise `InputError` where the wide table is none, or stands beside a head that gives no scores of a text."""
    if config.wide_rows < 0 or (config.wide_rows and config.task != "text-classification"):
        raise InputError(
            f"student config: wide_rows is {config.wide_rows} with task {config.task!r}; allowed: 0, and with "
            "text-classification any number of rows"
        )


def check_match(config: StudentConfig) -> None:
    """Raise `InputError` where what parts two texts is no token."""
    if config.match_separator is not None and not 0 <= config.match_separator < config.vocab_size:
        raise InputError(
            f"student config: match_separator is {config.match_separator}; allowed: an id below {config.vocab_size}"
        )


def check_shape(config: StudentConfig) -> None:
    """Raise `InputError` naming the field when the parts of a shape do not fit together."""
    choices: list[tuple[str, Any, tuple[Any, ...]]] = [
        ("embedding_projection", config.embedding_projection, EMBEDDING_PROJECTIONS),
        ("embedding_kernel", config.embedding_kernel, KERNELS if config.can_convolve else KERNELS[:1]),
        ("norm", config.norm, NORMS),
        ("hidden_act", config.hidden_act, ACTIVATIONS),
        ("head_act", config.head_act, (*ACTIVATIONS, None)),
        ("pooling", config.pooling, POOLINGS),
        ("body_bits", config.body_bits, BITS),
        ("embedding_bits", config.embedding_bits, BITS),
    ]
    choices += [(f"widths[{name}]", bits, BITS) for name, bits in (config.widths or {}).items()]
    for field, value, allowed in choices:
        if value not in allowed:
            raise InputError(f"student config: {field} is {value!r}; allowed: {', '.join(map(str, allowed))}")
    if config.task != EMBEDS and (config.pooling != "first" or config.vector_size or config.normalized):
        raise InputError(
            f"student config: task is {config.task!r} with pooling {config.pooling!r}, vector_size "
            f"{config.vector_size}, normalized {config.normalized}; only {EMBEDS} has these"
        )
    check_wide(config)
    lengths: list[tuple[str, list[int], int]] = [
        ("attention_sharing", config.attention_sharing or [], config.num_hidden_layers),
        ("ffn_sharing", config.ffn_sharing or [], config.num_hidden_layers),
        ("num_heads", config.num_heads or [], config.num_attention_sets),
        ("head_sizes", config.head_sizes or [], config.num_attention_sets),
        ("intermediate_sizes", config.intermediate_sizes or [], config.num_ffn_sets),
    ]
    ranks = config.ranks or {}
    lengths += [(f"ranks[{m}]", ranks[m], config.num_attention_sets) for m in ATTENTION_MATRICES]
    lengths += [(f"ranks[{m}]", ranks[m], config.num_ffn_sets) for m in FFN_MATRICES]
    for field, values, expected in lengths:
        if len(values) != expected:
            raise InputError(f"student config: {field} has {len(values)} entries; {expected} are needed")
    for field in ("attention_sharing", "ffn_sharing"):
        used = set(getattr(config, field))
        if used != set(range(len(used))):
            raise InputError(f"student config: {field} is {sorted(used)}; set numbers must run from 0 without gaps")
    if config.embedding_projection == "identity" and config.embedding_size != config.hidden_size:
        raise InputError(
            f"student config: embedding_size {config.embedding_size} differs from hidden_size {config.hidden_size}; "
            "use embedding_projection 'linear' or 'self_attentive'"
        )
    if config.vocab_map is not None and len(config.vocab_map) != config.vocab_size:
        raise InputError(
            f"student config: vocab_map has {len(config.vocab_map)} entries; vocab_size is {config.vocab_size}"
        )
