"""One plain transformer encoder, written for export.

No data-dependent Python, no in-place tricks, static structure, shapes dynamic in batch and sequence. A
post-norm BERT layer is the basis; every family that edgepack supports becomes this module with other
config values. Weights that layers share exist once (`attention[set]`, `feed_forward[set]`), so sharing
shows up in the bytes. A head that reads the first token alone needs nothing else of the last layer: files compute only
that, and here the range of each rounding in that layer is the first token's; the other tokens are computed for
distillation. Rounding to the config's bit widths happens in `forward` (`QuantizedLinear`), the
same for training and for evaluation; parameters stay float.

Pruning during training uses masks, one number for each head and each FFN unit, which its output is multiplied by. A
unit whose mask is 0 is exactly a unit that is not there (tests: pruned equals masked).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from edgepack.errors import InputError
from edgepack.quantization import ROUNDED_BY, round_rows
from edgepack.student.config import StudentConfig
from edgepack.student.linear import Projection, QuantizedLinear, round_together
from edgepack.student.match import match_words
from edgepack.student.neighbours import multiply_neighbours
from edgepack.student.pooling import pool
from edgepack.student.relative_positions import relative_buckets
from edgepack.student.wide import WideTable
from edgepack.task.similarity import EMBEDS


@dataclass
class StudentOutput(ModelOutput):
    """`logits` (batch, labels), (batch, seq, labels), or vectors (batch, size); layers + 1 states (batch, seq, H)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


def activation(name: str, x: Tensor) -> Tensor:
    """Apply the named activation."""
    if name == "gelu":
        return F.gelu(x)
    if name == "gelu_tanh":
        return F.gelu(x, approximate="tanh")
    return F.relu(x) if name == "relu" else torch.tanh(x)


class NoNorm(nn.Module):
    """MobileBERT's element-wise affine map in LayerNorm's place (Sun et al. 2020, arXiv:2004.02984, §3.3)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.bias


def make_norm(config: StudentConfig, size: int) -> nn.Module:
    """The norm that the config asks for, of the given size."""
    return NoNorm(size) if config.norm == "no_norm" else nn.LayerNorm(size, eps=config.norm_eps)


class Attention(nn.Module):
    """Multi-head self-attention without norm or residual: `(batch, seq, size) → (batch, seq, size)`."""

    def __init__(self, size: int, num_heads: int, head_size: int, ranks: dict[str, int], buckets: int = 0) -> None:
        super().__init__()
        self.num_heads, self.head_size = num_heads, head_size
        inner = num_heads * head_size
        self.query = Projection(size, inner, ranks["query"])
        self.key = Projection(size, inner, ranks["key"])
        self.value = Projection(size, inner, ranks["value"])
        self.output = Projection(inner, size, ranks["output"])
        self.relative_bias = nn.Parameter(torch.zeros(buckets, num_heads)) if buckets else None
        self.mask: Tensor | None = None  # of heads, (1 or batch, heads); set while pruning
        self.vectors: list[tuple[Tensor, Tensor, Tensor]] | None = None  # filled, a layer at a time, where it is a list

    def forward(self, x: Tensor, mask: Tensor, buckets: Tensor | None, first_only: bool = False) -> Tensor:
        batch, seq, _ = x.shape
        # (batch, seq, heads · size) → (batch, heads, seq, size)
        query, key, value = (
            projected.view(batch, seq, self.num_heads, self.head_size).transpose(1, 2)
            for projected in self.project(x, first_only)
        )
        if self.vectors is not None:
            self.vectors.append((query, key, value))
        if self.relative_bias is not None and buckets is not None:
            mask = mask + self.relative_bias[buckets].permute(2, 0, 1)[None]  # (1, heads, seq, seq)
        # plain products, not the fused kernel: at these lengths its CPU backward costs several times more
        scores = query @ key.transpose(2, 3) / math.sqrt(self.head_size) + mask.to(query.dtype)
        context = torch.softmax(scores, dim=-1) @ value
        if self.mask is not None:
            context = context * self.mask[:, :, None, None].to(context.dtype)
        return self.output(context.transpose(1, 2).reshape(batch, seq, self.num_heads * self.head_size), first_only)

    def project(self, x: Tensor, first_only: bool) -> Sequence[Tensor]:
        """Queries, keys and values `(batch, seq, heads · size)`: `x` is rounded once for all three."""
        projections = (self.query, self.key, self.value)
        if self.query.rank or self.key.rank or self.value.rank:
            return [self.query(x, first_only), self.key(x), self.value(x)]
        full = [projection.full for projection in projections]
        first, weight = full[0], round_together(full)
        bias = torch.cat([linear.bias for linear in full])
        inner = self.num_heads * self.head_size
        rounded = first.rounded_input(x)
        if not first.width.is_rounded or not first_only:
            return F.linear(rounded, weight, bias).split(inner, dim=-1)
        query = F.linear(first.rounded_input(x, first_only), weight[:inner], bias[:inner])
        return [query, *F.linear(rounded, weight[inner:], bias[inner:]).split(inner, dim=-1)]


class FeedForward(nn.Module):
    """`down(act(up(x)))`: `(batch, seq, in) → (batch, seq, out)`, no norm or residual."""

    def __init__(self, size: int, inner: int, out: int, act: str, ranks: dict[str, int]) -> None:
        super().__init__()
        self.act = act
        self.up = Projection(size, inner, ranks["up"])
        self.down = Projection(inner, out, ranks["down"])
        self.mask: Tensor | None = None  # of units, (1 or batch, units); set while pruning

    def forward(self, x: Tensor, first_only: bool = False) -> Tensor:
        inner = activation(self.act, self.up(x, first_only))
        if self.mask is not None:
            inner = inner * self.mask[:, None, :].to(inner.dtype)
        return self.down(inner, first_only)


class Embeddings(nn.Module):
    """Token ids to `(batch, seq, H)`: identity, linear (ALBERT) or self-attentive (Subformer's SAFE)."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        size, hidden, total = config.embedding_size, config.hidden_size, config.sum_size
        self.word = nn.Embedding(config.vocab_size, size)
        self.position = nn.Embedding(config.max_position_embeddings, total)
        self.token_type = nn.Embedding(config.type_vocab_size, total) if config.type_vocab_size else None
        self.norm = make_norm(config, total)
        self.projection = QuantizedLinear(size, hidden, bias=config.projection_bias) if config.has_projection else None
        places = len(config.neighbours)
        self.convolution = QuantizedLinear(size, places * hidden, bias=False) if places else None
        marks = config.match_separator is not None
        self.match = nn.Parameter(torch.zeros(hidden)) if marks else None  # of tokens that the other text has too
        self.attention: Attention | None = None
        if config.embedding_projection == "self_attentive":
            full = dict.fromkeys(config.ranks or {}, 0)
            self.attention = Attention(size, config.embedding_num_heads, size // config.embedding_num_heads, full)
            self.attention_norm = make_norm(config, size)
            self.feed_forward = FeedForward(size, config.embedding_intermediate_size, hidden, config.hidden_act, full)
            self.output_norm = make_norm(config, hidden)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None, mask: Tensor) -> Tensor:
        x = round_rows(self.word(input_ids), self.config.embedding_width)
        if self.projection is not None and not self.config.norm_before_projection:
            x = self.projection(x)
        x = x + round_rows(self.position.weight[: input_ids.shape[1]], self.config.small_table_width)
        if self.token_type is not None:
            types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            x = x + self.token_type(types)
        x = self.norm(x)
        if torch.is_autocast_enabled(x.device.type):  # stay in bf16 from here on: fewer casts than per matrix product
            x = x.to(torch.get_autocast_dtype(x.device.type))
        if self.projection is not None and self.config.norm_before_projection:
            x = self.projection(x)
        if self.attention is not None:
            x = self.attention_norm(x + self.attention(x, mask, None))
            x = self.output_norm(self.feed_forward(x))  # no residual where the size changes
        return x

    def first_input(self, x: Tensor, input_ids: Tensor, present: Tensor) -> Tensor:
        """What the first layer reads: the embeddings' output `x`, and what other tokens add to each; the same shape."""
        return self.add_match(self.add_neighbours(x, input_ids, present), input_ids, present)

    def add_neighbours(self, x: Tensor, input_ids: Tensor, present: Tensor) -> Tensor:
        """`x` `(batch, seq, H)` and what each token's neighbours add to it; `present`: 0 at padding."""
        if self.convolution is None:
            return x
        words = round_rows(self.word(input_ids), self.config.embedding_width) * present[..., None]
        read = self.convolution.rounded_input(words).to(x.dtype)
        return x + multiply_neighbours(read, self.convolution.rounded_weight(), self.config.neighbours)

    def add_match(self, x: Tensor, input_ids: Tensor, present: Tensor) -> Tensor:
        """`x` `(batch, seq, H)` and a vector at each token that the other text has too; `present`: 0 at padding."""
        if self.match is None or self.config.match_separator is None:
            return x
        matches = match_words(input_ids, present, self.config.match_separator)
        return x + matches[..., None].to(x.dtype) * self.match.to(x.dtype)


class Head(nn.Module):
    """One answer a text or a token: dense + activation + classifier, or a classifier, or a vector.

    A vector is the pooled one, behind a linear layer and an activation where the config has them, of length 1 where it
    says so.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.act, self.per_token, self.pooling = config.head_act, config.per_token, config.pooling
        self.embeds, self.normalized = config.task == EMBEDS, config.normalized
        inputs = config.classifier_inputs
        self.dense = QuantizedLinear(config.hidden_size, inputs) if config.has_dense else None
        self.classifier = QuantizedLinear(inputs, config.outputs) if config.has_classifier else None

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        x = x if self.per_token else pool(x, attention_mask, self.pooling)
        if self.dense is not None and self.act is not None:
            x = activation(self.act, self.dense(x))
        if self.classifier is not None:
            x = self.classifier(x)
        if self.embeds and self.act is not None:
            x = activation(self.act, x)
        return F.normalize(x, dim=-1) if self.normalized else x


def matrix_name(path: str) -> str:
    """The name that a linear layer's matrix has in `StudentConfig.widths`: queries, keys and values are one."""
    for part in (".query", ".key", ".value"):
        path = path.replace(part, ".qkv")
    return path.removesuffix(".full")


class Student(PreTrainedModel):
    """The encoder with its task head. `forward` gives logits, and hidden states when asked."""

    config_class = StudentConfig
    config: StudentConfig
    base_model_prefix = "student"
    main_input_name = "input_ids"

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        ranks = config.ranks or {}
        self.embeddings = Embeddings(config)
        self.attention = nn.ModuleList(
            Attention(
                config.hidden_size,
                (config.num_heads or [])[s],
                (config.head_sizes or [])[s],
                {m: ranks[m][s] for m in ("query", "key", "value", "output")},
                config.relative_attention_buckets,
            )
            for s in range(config.num_attention_sets)
        )
        self.feed_forward = nn.ModuleList(
            FeedForward(
                config.hidden_size,
                (config.intermediate_sizes or [])[s],
                config.hidden_size,
                config.hidden_act,
                {m: ranks[m][s] for m in ("up", "down")},
            )
            for s in range(config.num_ffn_sets)
        )
        layers, hidden = config.num_hidden_layers, config.hidden_size
        self.attention_norms = nn.ModuleList(make_norm(config, hidden) for _ in range(layers))
        self.ffn_norms = nn.ModuleList(make_norm(config, hidden) for _ in range(layers))
        self.head = Head(config)
        self.wide = WideTable(config.wide_rows, config.outputs) if config.wide_rows else None
        self.set_bits(config.body_bits, config.embedding_bits)
        if config.learned_scales:
            for matrix in self.matrices():
                matrix.add_steps()
        self.post_init()

    def set_bits(self, body_bits: int, embedding_bits: int) -> None:
        """Round weights and activations to these bit widths from now on (32: not at all)."""
        self.config.body_bits, self.config.embedding_bits = body_bits, embedding_bits
        for name, module in self.named_modules():
            if isinstance(module, QuantizedLinear):
                module.width, module.block_size = self.config.width_of(matrix_name(name)), self.config.block_size
        for module in (self.embeddings.projection, self.embeddings.convolution):
            if module is not None:
                module.exact_input = self.config.multiplies_codes
        if self.wide is not None:
            self.wide.width = self.config.small_table_width

    def learn_scales(self) -> None:
        """Make the steps of matrices' blocks parameters, which begin as the weights have them now."""
        self.config.learned_scales = True
        for matrix in self.matrices():
            matrix.learn_steps()

    def forget_scales(self) -> None:
        """Have the weights decide the steps again: learned ones are of the widths that they were learned at."""
        self.config.learned_scales = False
        for matrix in self.matrices():
            matrix.log_step = None

    def matrices(self) -> list[QuantizedLinear]:
        """All linear layers, in the order of their names."""
        return [module for module in self.modules() if isinstance(module, QuantizedLinear)]

    def round_activations_by(self, what: str) -> None:
        """Give each example or each token a range of its own, or round no activations; see `ROUNDED_BY`."""
        if what not in ROUNDED_BY:
            raise InputError(f"activations rounded by {what!r}; allowed: {', '.join(ROUNDED_BY)}")
        for matrix in self.matrices():
            matrix.rounded_by = what

    def round_vectors(self) -> None:
        """Make every bias, norm and small table the fp16 number that files store; weights have formats of their own."""
        rounded = {id(numbers) for matrix in self.matrices() for numbers in (matrix.weight, matrix.log_step)}
        tables = (self.embeddings.word, self.embeddings.position, self.wide)
        rounded |= {id(table.weight) for table in tables if table is not None}
        with torch.no_grad():
            for parameter in self.parameters():
                if id(parameter) not in rounded:
                    parameter.copy_(parameter.half().to(parameter.dtype))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> StudentOutput:
        """`input_ids`, `attention_mask`, `token_type_ids`: int64 `(batch, seq)`, padding on the right."""
        config = self.config
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        mask = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.bfloat16).min
        buckets = None
        if config.relative_attention_buckets:
            buckets = relative_buckets(
                input_ids.shape[1],
                config.relative_attention_buckets,
                config.relative_attention_max_distance,
                input_ids.device,
            )
        x = self.embeddings(input_ids, token_type_ids, mask)
        hidden = [x]
        x = self.embeddings.first_input(x, input_ids, attention_mask)
        for layer in range(config.num_hidden_layers):
            first_only = layer == config.first_token_layer
            attention = self.attention[(config.attention_sharing or [])[layer]]
            x = self.attention_norms[layer](x + attention(x, mask, buckets, first_only))
            feed_forward = self.feed_forward[(config.ffn_sharing or [])[layer]]
            x = self.ffn_norms[layer](x + feed_forward(x, first_only))
            hidden.append(x)
        logits = self.head(x, attention_mask)
        if self.wide is not None:
            logits = logits + self.wide.scores(input_ids, attention_mask)
        return StudentOutput(logits=logits, hidden_states=tuple(hidden) if output_hidden_states else None)


def student_of(config: StudentConfig, state: Mapping[str, Tensor], partly: bool = False) -> Student:
    """A student that holds these very tensors: nothing is drawn, nothing is copied.

    `partly`: `state` may lack some, which are on the meta device then.
    """
    with torch.device("meta"):
        student = Student(config)
    student.load_state_dict(state, strict=not partly, assign=True)
    return student
