"""The one way through a student that every writer and every size model takes.

Formats differ in their operators, not in what an encoder is made of or in the order of its steps. `EncoderWalk` is that
order: embeddings, layers with the weight sets that the config names, head. A format fills in the steps, each from
values to a value: names in a graph, tensors in a module, nothing where sizes are only counted. `tag` is a name for what
a step computes. Steps come in two sizes: `OneTextWalk` (`one_text_walk.py`) builds attention out of small operators,
the ONNX writer has one operator for most of it, the TorchScript layout only notes which matrices it has.

A new axis of the student is one edit here (`tests/export/test_new_axis.py` makes two) and one in `Student.forward`,
which files are compared with. A format that cannot express a step fails: an abstract method is missing, or
TorchScript's fixed program has no place for a matrix.

Where the head reads the first token alone, the last layer computes only that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from edgepack.export.linear import ATTENTION_INPUTS, Linear, factors, joined
from edgepack.quantization import FP32, BitWidth
from edgepack.student.config import ATTENTION_MATRICES, FFN_MATRICES, StudentConfig
from edgepack.student.match import MATCH
from edgepack.task.similarity import EMBEDS

LEAST_LENGTH = 1e-12  # that a vector is divided by, as torch has it
V = TypeVar("V")  # a value: a name in a graph, a tensor in a module
SELF_ATTENTIVE = "embeddings.attention"  # path of the attention in a self-attentive embedding


@dataclass(frozen=True)
class Table:
    """A table of `rows` rows at `path`, of which `index` picks one for each token.

    `words`: its id. `positions`, `types`: of these. `buckets`: its id modulo the rows.
    """

    path: str
    index: str
    rows: int
    columns: int
    width: BitWidth

    @property
    def name(self) -> str:
        """What files call it."""
        return self.path.removesuffix(".weight")


@dataclass(frozen=True)
class Attention:
    """One attention: the products of its queries, keys and values (`inputs`), and of its output.

    `relative`: scores have a bias for each pair of positions. `first_only`: only the first token is needed.
    """

    path: str
    size: int
    heads: int
    head_size: int
    inputs: tuple[tuple[Linear, ...], ...]
    output: tuple[Linear, ...]
    relative: bool = False
    first_only: bool = False

    @property
    def inner(self) -> int:
        """Size of all heads' queries together."""
        return self.heads * self.head_size

    @property
    def joined(self) -> Linear | None:
        """Queries, keys and values as one product, where none of them is factorized."""
        factorized = any(len(chain) > 1 for chain in self.inputs)
        return None if factorized else joined(self.path, self.size, self.inner)


@dataclass(frozen=True)
class FeedForward:
    """One feed-forward network: `down(act(up(x)))`."""

    path: str
    up: tuple[Linear, ...]
    down: tuple[Linear, ...]


@dataclass(frozen=True)
class Layer:
    """One step of the encoder: the weight sets that it uses, and where its own norms are."""

    tag: str
    attention: Attention
    attention_norm: str
    feed_forward: FeedForward
    ffn_norm: str


class EncoderWalk(ABC, Generic[V]):
    """A walk over a config; `logits()` returns the last value."""

    added_tables: ClassVar[tuple[str, ...]] = ("positions", "types")  # to the words, in this order

    def __init__(self, config: StudentConfig) -> None:
        self.config = config
        self._words: list[V] = []  # the words' rows, once they are made

    # the steps

    @abstractmethod
    def rows(self, table: Table) -> V:
        """The table's row of each token, `(seq, columns)`."""

    @abstractmethod
    def linear(self, tag: str, x: V, linear: Linear) -> V:
        """`x @ weight + bias`."""

    @abstractmethod
    def add(self, tag: str, x: V, y: V) -> V:
        """Sum of two values of one shape."""

    @abstractmethod
    def norm(self, tag: str, x: V, path: str, size: int) -> V:
        """The config's norm over the last axis."""

    @abstractmethod
    def activation(self, tag: str, x: V, act: str) -> V:
        """The named activation."""

    @abstractmethod
    def first(self, tag: str, x: V) -> V:
        """The first token of each text."""

    @abstractmethod
    def attention(self, tag: str, x: V, attention: Attention) -> V:
        """Attention without norm or residual."""

    @abstractmethod
    def mean(self, tag: str, x: V, last: bool) -> V:
        """The mean of a text's real tokens, or the last of them, `(1, size)`."""

    @abstractmethod
    def unit(self, tag: str, x: V) -> V:
        """Vectors of length 1."""

    @abstractmethod
    def sum_neighbours(self, tag: str, x: V, places: Sequence[int]) -> V:
        """`(seq, places · size) → (seq, size)`: of each token's neighbours, at each place, the part of that place.

        `places`: −1 is the word before, 1 the next one. Padding and what lies beyond the ends add nothing.
        """

    @abstractmethod
    def matches(self, tag: str, path: str, separator: int) -> V:
        """The vector at `path`, `(H,)`, at tokens that the other text of a pair has too, else 0: `(seq, H)`.

        The steps are those of `edgepack.student.match`. `separator`: id of the token between the texts.
        """

    def residual(self, tag: str, x: V, y: V) -> V:
        """A block's output `y` added to its input `x`."""
        return self.add(tag, x, y)

    def word_rows(self, tag: str, table: Table, linear: Linear | None) -> V:
        """Rows of the words, multiplied by `linear` where there is one."""
        if not self._words:
            self._words.append(self.rows(table))
        return self._words[0] if linear is None else self.linear(tag, self._words[0], linear)

    def chain(self, tag: str, x: V, linears: Sequence[Linear]) -> V:
        """A projection's products, one after the other."""
        for linear in linears:
            x = self.linear(tag if linear is linears[-1] else f"{tag}.low", x, linear)
        return x

    def activated(self, tag: str, x: V, linears: Sequence[Linear], act: str) -> V:
        """A projection and the activation behind it."""
        return self.activation(tag, self.chain(tag, x, linears), act)

    def pooled(self, x: V) -> V:
        """What the head reads."""
        config = self.config
        return x if config.per_token or config.reads_first else self.mean("h.pooled", x, config.pooling == "last")

    # their order

    def logits(self) -> V:
        """The whole student."""
        x = self.embeddings()
        x = self.neighbours(x) if self.config.neighbours else x
        if self.config.match_separator is not None:
            x = self.add("e.match", x, self.matches("e.match", MATCH, self.config.match_separator))
        for layer in encoder_layers(self.config):
            x = self.layer(layer, x)
        x = self.head(self.pooled(x))
        return self.wide(x) if self.config.wide_rows else x

    def wide(self, x: V) -> V:
        """The head's scores and the mean of the rows that the tokens have in the table beside the encoder."""
        return self.add("wide", x, self.mean("wide.mean", self.rows(wide_table(self.config)), last=False))

    def embeddings(self) -> V:
        """Token ids to the first layer's input."""
        config, projection = self.config, embedding_projection(self.config)
        first = None if config.norm_before_projection else projection
        x = self.word_rows("e.projection", word_table(config), first)
        for table in added_tables(config, self.added_tables):
            x = self.add(f"e.{table.index}", x, self.rows(table))
        x = self.norm("e", x, "embeddings.norm", config.sum_size)
        if projection is not None and first is None:
            x = self.linear("e.projection", x, projection)
        return self.self_attentive(x) if config.embedding_projection == "self_attentive" else x

    def neighbours(self, x: V) -> V:
        """The embeddings, and what a convolution over the words adds to them."""
        config = self.config
        products = self.word_rows("e.convolution", word_table(config), convolution(config))
        return self.add("e.neighbours", x, self.sum_neighbours("e.neighbours", products, config.neighbours))

    def self_attentive(self, x: V) -> V:
        """Subformer's SAFE: attention at size E, then a feed-forward network to H, without a residual."""
        config, size = self.config, self.config.embedding_size
        heads = config.embedding_num_heads
        y = self.attention("e", x, make_attention(SELF_ATTENTIVE, size, heads, size // heads))
        x = self.norm("e.attention", self.residual("e.attention", x, y), "embeddings.attention_norm", size)
        path, inner = "embeddings.feed_forward", config.embedding_intermediate_size
        x = self.feed_forward("e", x, make_feed_forward(path, (size, inner, config.hidden_size)))
        return self.norm("e.output", x, "embeddings.output_norm", config.hidden_size)

    def layer(self, layer: Layer, x: V) -> V:
        """Attention, then the feed-forward network, each with its residual and norm."""
        size, tag = self.config.hidden_size, f"{layer.tag}.attention"
        y = self.attention(layer.tag, x, layer.attention)
        x = self.first(layer.tag, x) if layer.attention.first_only else x
        x = self.norm(tag, self.residual(tag, x, y), layer.attention_norm, size)
        y = self.feed_forward(layer.tag, x, layer.feed_forward)
        return self.norm(f"{layer.tag}.ffn", self.residual(f"{layer.tag}.ffn", x, y), layer.ffn_norm, size)

    def feed_forward(self, tag: str, x: V, feed_forward: FeedForward) -> V:
        """A feed-forward network without norm or residual."""
        x = self.activated(f"{tag}.up", x, feed_forward.up, self.config.hidden_act)
        return self.chain(f"{tag}.down", x, feed_forward.down)

    def head(self, x: V) -> V:
        """The head's dense layer, where it has one, and the classifier; of vectors their last steps."""
        config, inputs = self.config, self.config.classifier_inputs
        if config.has_dense and config.head_act is not None:
            dense = Linear("head.dense", ("head.dense",), config.hidden_size, inputs)
            x = self.activated("h.dense", x, (dense,), config.head_act)
        last = Linear("head.classifier", ("head.classifier",), inputs, config.outputs)
        if config.task != EMBEDS:
            return self.linear("h.scores" if config.wide_rows else "logits", x, last)
        act = config.head_act
        if config.has_classifier:
            x = self.linear("h.vector", x, last) if act is None else self.activated("h.vector", x, (last,), act)
        elif act is not None:
            x = self.activation("h.vector", x, act)
        return self.unit("h.unit", x) if config.normalized else x


def encoder_layers(config: StudentConfig) -> Iterator[Layer]:
    """The layers in the order in which they are computed."""
    attention_sharing, ffn_sharing = config.attention_sharing or [], config.ffn_sharing or []
    for layer in range(config.num_hidden_layers):
        sets = attention_sharing[layer], ffn_sharing[layer]
        yield Layer(
            f"l{layer}",
            attention_of(config, sets[0], first_only=layer == config.first_token_layer),
            f"attention_norms.{layer}",
            feed_forward_of(config, sets[1]),
            f"ffn_norms.{layer}",
        )


def attention_of(config: StudentConfig, chosen: int, first_only: bool) -> Attention:
    """The attention of one weight set."""
    heads, head_size = (config.num_heads or [])[chosen], (config.head_sizes or [])[chosen]
    ranks = tuple((config.ranks or {})[matrix][chosen] for matrix in ATTENTION_MATRICES)
    path, relative = f"attention.{chosen}", bool(config.relative_attention_buckets)
    return make_attention(path, config.hidden_size, heads, head_size, ranks, relative, first_only)


def make_attention(
    path: str,
    size: int,
    heads: int,
    head_size: int,
    ranks: Sequence[int] = (0, 0, 0, 0),
    relative: bool = False,
    first_only: bool = False,
) -> Attention:
    """The attention at `path`; `ranks` of queries, keys, values and output."""
    inner = heads * head_size
    pairs = zip(ATTENTION_INPUTS, ranks[:-1], strict=True)
    inputs = tuple(factors(f"{path}.{name}", size, inner, rank) for name, rank in pairs)
    output = factors(f"{path}.output", inner, size, ranks[-1])
    return Attention(path, size, heads, head_size, inputs, output, relative=relative, first_only=first_only)


def feed_forward_of(config: StudentConfig, chosen: int) -> FeedForward:
    """The feed-forward network of one weight set."""
    sizes = (config.hidden_size, (config.intermediate_sizes or [])[chosen], config.hidden_size)
    ranks = tuple((config.ranks or {})[matrix][chosen] for matrix in FFN_MATRICES)
    return make_feed_forward(f"feed_forward.{chosen}", sizes, ranks)


def make_feed_forward(path: str, sizes: tuple[int, int, int], ranks: Sequence[int] = (0, 0)) -> FeedForward:
    """The feed-forward network at `path`; `sizes` of its input, in between and of its output."""
    up = factors(f"{path}.up", sizes[0], sizes[1], ranks[0])
    return FeedForward(path, up, factors(f"{path}.down", sizes[1], sizes[2], ranks[1]))


def embedding_projection(config: StudentConfig) -> Linear | None:
    """The product that leads from the embedding size to the hidden size, where there is one."""
    if not config.has_projection:
        return None
    path = "embeddings.projection"
    return Linear(path, (path,), config.embedding_size, config.hidden_size, config.projection_bias)


def convolution(config: StudentConfig) -> Linear:
    """What each word adds to its neighbours: a matrix for each place, side by side."""
    path, places = "embeddings.convolution", len(config.neighbours)
    return Linear(path, (path,), config.embedding_size, places * config.hidden_size, bias=False)


def word_table(config: StudentConfig) -> Table:
    """The table of the words."""
    path = "embeddings.word.weight"
    return Table(path, "words", config.vocab_size, config.embedding_size, config.embedding_width)


def wide_table(config: StudentConfig) -> Table:
    """The table of scores beside the encoder."""
    return Table("wide.weight", "buckets", config.wide_rows, config.outputs, config.small_table_width)


def added_tables(config: StudentConfig, order: Sequence[str]) -> list[Table]:
    """The tables whose rows are added to the words', in this order."""
    size, path = config.sum_size, "embeddings.position.weight"
    found = {"positions": Table(path, "positions", config.max_position_embeddings, size, config.small_table_width)}
    if config.type_vocab_size:
        found["types"] = Table("embeddings.token_type.weight", "types", config.type_vocab_size, size, FP32)
    return [found[index] for index in order if index in found]
