"""The one program that every TorchScript artifact carries: an encoder that reads its shape from data.

A traced student repeats its code for every layer and its metadata for every tensor. This module is
scripted instead: layers are a loop over lists, absent parts are empty slots, and `__setstate__` cuts a
handful of flat tensors into weights when the file is loaded. So the bytecode is the same for every shape
(its size is a constant of `plan/size_torchscript.py`), per-channel scales are 4 bytes in the file (the
packed parameters that torch would store cost 16: a double and an int64 zero point), and batch and
sequence are dynamic by construction. qnnpack's packing happens at load, as in torch's own
`LinearPackedParams`, whose `__setstate__` this follows. 4-bit weights are expanded there to int8, one linear
at a time: the file is half as large, while memory and speed after loading are those of int8.

Layout, in the order in which the flat tensors are read:

- slots, each a run of zero, one (full) or two (factorized) linear layers: 4 for each attention set (query,
  key, value, output; a full query, key and value are one linear in the first slot and the next two are
  empty), 2 for each FFN set (up, down), then convolution over words, embedding projection, head dense, classifier.
  An empty slot is the identity. A self-attentive embedding is one more layer, the first, without a residual around its
  FFN; its weight sets are the last.
- `integers`: for each linear its weight `(out, in)`, row by row: int8; or fp32 at 32 bits; or at 4 bits bytes of
  two halves, q + 8 and then the block multipliers, `(out, blocks)` row by row: of n halves the first ⌈n/2⌉ are
  the low ones, the others the high ones, and an odd n leaves the last high half 0.
- `floats`: for each linear the scales (4 and 8 bits) and the bias; norms (weight, bias): embedding, then attention
  and FFN of each layer; token types; relative biases; the vector of tokens that both texts of a pair have.

It uses only operators that the lite interpreter of 1.13 has: no `scaled_dot_product_attention`. It does
not prune, train or check shapes. TorchScript reads this file's annotations as they stand, so there is no
`from __future__ import annotations` here.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn

State = tuple[dict[str, int], dict[str, list[int]], float, Tensor, Tensor, Tensor, Tensor, Tensor]


def expand_int4(packed: Tensor, rows: int, columns: int, blocks: int, block_size: int) -> Tensor:
    """The int8 operand q · m `(rows, columns)` of a packed 4-bit weight; a row's last block may be shorter."""
    halves = torch.cat([torch.bitwise_and(packed, 15), packed >> 4])
    codes = rows * columns
    q = halves[:codes].view(rows, columns).to(torch.int8) - 8
    multipliers = halves[codes : codes + rows * blocks].view(rows, blocks, 1).to(torch.int8)
    spread = multipliers.expand(rows, blocks, block_size).reshape(rows, blocks * block_size)
    return q * spread[:, :columns]


class MobileEncoder(nn.Module):
    """Holds the state to be written; able to run only once `__setstate__` has unpacked it."""

    MASKED: Final[float] = -3.3895313892515355e38  # what the student adds to masked scores: bfloat16's lowest number
    GELU: Final[int] = 0  # positions in student.config.ACTIVATIONS; tanh is the last
    GELU_TANH: Final[int] = 1
    RELU: Final[int] = 2

    options: dict[str, int]
    lists: dict[str, list[int]]
    norm_eps: float
    integers: Tensor
    floats: Tensor
    words: Tensor  # (vocabulary, packed row bytes) uint8, or (vocabulary, width) fp32
    positions: Tensor
    buckets: Tensor  # (2 · positions − 1,) uint8: relative bucket of query − key; or empty
    packed: list[torch.classes.quantized.LinearPackedParamsBase]  # type: ignore[name-defined]
    weights: list[Tensor]
    biases: list[Tensor]
    norm_weights: list[Tensor]
    norm_biases: list[Tensor]
    token_types: Tensor
    match: Tensor  # of tokens that the other text of a pair has too; or empty
    relative: list[Tensor]

    def __init__(self, state: State) -> None:
        super().__init__()
        # no tensor of the state may be an nn.Parameter: TorchScript would make another program of it
        self.options, self.lists, self.norm_eps = state[0], state[1], state[2]
        self.integers, self.floats, self.words, self.positions, self.buckets = state[3:]
        self.packed, self.weights, self.biases = [], [], []
        self.norm_weights, self.norm_biases, self.relative = [], [], []
        self.token_types, self.match = torch.empty(0), torch.empty(0)

    @torch.jit.export
    def __getstate__(self) -> State:
        return (
            self.options,
            self.lists,
            self.norm_eps,
            self.integers,
            self.floats,
            self.words,
            self.positions,
            self.buckets,
        )

    @torch.jit.export
    def __setstate__(self, state: State) -> None:
        self.options, self.lists, self.norm_eps = state[0], state[1], state[2]
        self.words, self.positions, self.buckets = state[5], state[6], state[7]
        at = self.unpack_linears(state[3], state[4])
        norm_weights: list[Tensor] = []
        norm_biases: list[Tensor] = []
        relative: list[Tensor] = []
        for width in self.lists["norms"]:
            norm_weights.append(state[4][at : at + width])
            norm_biases.append(state[4][at + width : at + 2 * width])
            at += 2 * width
        types = self.options["token_types"]
        end = at + types * self.lists["norms"][0]
        self.token_types = state[4][at:end].view(types, self.lists["norms"][0])
        if self.buckets.numel() > 0:
            for heads in self.lists["heads"][: len(self.lists["heads"]) - self.options["self_attentive"]]:
                at, end = end, end + self.options["buckets"] * heads
                relative.append(state[4][at:end].view(self.options["buckets"], heads))
        self.match = state[4][end:]
        self.norm_weights, self.norm_biases, self.relative = norm_weights, norm_biases, relative

    def unpack_linears(self, integers: Tensor, floats: Tensor) -> int:
        """Cut weights, scales and biases out of the flat tensors; returns how many floats were read."""
        packed: list[torch.classes.quantized.LinearPackedParamsBase] = []  # type: ignore[name-defined]
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        shapes = self.lists["linears"]
        begin, at = 0, 0
        for i in range(0, len(shapes), 3):
            rows, columns = shapes[i], shapes[i + 1]
            if self.options["body_bits"] == 4:
                block_size = self.options["block_size"]
                blocks = (columns + block_size - 1) // block_size
                end = begin + (rows * (columns + blocks) + 1) // 2
                weight = expand_int4(integers[begin:end], rows, columns, blocks, block_size)
            else:
                end = begin + rows * columns
                weight = integers[begin:end].view(rows, columns)
            begin = end
            scale = floats[at:at]
            if self.options["body_bits"] < 32:
                scale = floats[at : at + rows]
                at += rows
            has_bias = shapes[i + 2]
            bias = floats[at : at + has_bias * rows]
            at += has_bias * rows
            if self.options["body_bits"] < 32:
                zero_points = torch.zeros(rows, dtype=torch.int64)
                q = torch._make_per_channel_quantized_tensor(weight, scale.to(torch.float64), zero_points, 0)
                if has_bias == 1:
                    packed.append(torch.ops.quantized.linear_prepack(q, bias))
                else:
                    packed.append(torch.ops.quantized.linear_prepack(q, None))
            else:
                weights.append(weight)
                biases.append(bias if has_bias == 1 else torch.zeros(rows))
        self.packed, self.weights, self.biases = packed, weights, biases
        return at

    @torch.jit.export
    def input_names(self) -> list[str]:
        """What `forward` takes, in order."""
        names = ["input_ids", "attention_mask"]
        if self.options["token_types"] > 0:
            names.append("token_type_ids")
        return names

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """int64 `(batch, seq)` each → logits `(batch, labels)` or `(batch, seq, labels)`."""
        mask = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * self.MASKED
        x = self.embed(input_ids, token_type_ids)
        if self.options["kernel"] > 1:
            x = x + self.neighbours(input_ids, attention_mask)
        bucket = self.bucket_of_pairs(input_ids.size(1))
        attention_sets, ffn_sets = self.lists["attention_sharing"], self.lists["ffn_sharing"]
        for layer in range(len(attention_sets)):
            if layer == self.options["self_attentive"] and self.match.numel() > 0:  # behind the embedding's own layer
                x = x + self.matches(input_ids, attention_mask)
            chosen = attention_sets[layer]
            bias = mask + self.relative[chosen][bucket].permute(2, 0, 1) if chosen < len(self.relative) else mask
            first_only = self.options["first_token"] == 1 and layer == len(attention_sets) - 1
            y = self.attend(x, bias, chosen, first_only)
            x = self.norm((x[:, :1] if first_only else x) + y, 1 + 2 * layer)
            residual = x
            x = self.feed_forward(x, ffn_sets[layer])
            if layer >= self.options["self_attentive"]:  # no residual where the width changes
                x = x + residual
            x = self.norm(x, 2 + 2 * layer)
        if self.options["first_token"] == 1:
            x = x[:, 0]
        classifier = len(self.lists["slots"]) - 2
        if self.options["head_act"] >= 0:
            x = self.activate(self.project(x, classifier - 1), self.options["head_act"])
        return self.project(x, classifier)

    def embed(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Token ids → sum, norm and projection: `(batch, seq, width)`."""
        batch, seq = input_ids.size(0), input_ids.size(1)
        projection = len(self.lists["slots"]) - 4
        project_first = self.options["norm_before_projection"] == 0
        width = self.options["embedding_size"]
        x = self.rows(self.words, input_ids.reshape(-1), self.options["embedding_bits"], width).view(batch, seq, width)
        if project_first:
            x = self.project(x, projection)
        x = x + self.rows(self.positions, torch.arange(seq), 8, x.size(2))
        if self.options["token_types"] > 0:
            types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            x = x + torch.embedding(self.token_types, types)
        x = self.norm(x, 0)
        if not project_first:
            x = self.project(x, projection)
        return x

    def neighbours(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """What a convolution over the words adds to each token: `(batch, seq, width)`."""
        batch, seq, reach = input_ids.size(0), input_ids.size(1), self.options["kernel"] // 2
        width = self.options["embedding_size"]
        x = self.rows(self.words, input_ids.reshape(-1), self.options["embedding_bits"], width).view(batch, seq, width)
        x = self.project(x, len(self.lists["slots"]) - 5) * attention_mask[:, :, None].to(torch.float32)
        parts = torch.split(torch.constant_pad_nd(x, [0, 0, reach, reach]), x.size(2) // (2 * reach), 2)
        total = parts[0][:, :seq]
        for i in range(1, 2 * reach):
            at = i if i < reach else i + 1
            total = total + parts[i][:, at : at + seq]
        return total

    def matches(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The vector of tokens that the other text of a pair has too, at these: `(batch, seq, width)`."""
        ids = (input_ids + 1) * attention_mask
        first = (torch.cumsum(ids == self.options["separator"] + 1, 1) == 0).to(torch.int64)
        own, wanted = 2 * ids + first, 2 * ids + 1 - first
        found = (own[:, :, None] == wanted[:, None, :]).any(2)
        return found[:, :, None].to(torch.float32) * self.match

    def rows(self, table: Tensor, indices: Tensor, bits: int, width: int) -> Tensor:
        """Rows `(n, width)` of a packed or plain table; one bag for each index."""
        if table.dtype != torch.uint8:
            return torch.embedding(table, indices)
        offsets = torch.arange(indices.numel())
        if bits == 4:
            packed_pairs = torch.ops.quantized.embedding_bag_4bit_rowwise_offsets(table, indices, offsets)
            return packed_pairs[:, :width]  # an odd width is packed with one column more
        return torch.ops.quantized.embedding_bag_byte_rowwise_offsets(table, indices, offsets)

    def bucket_of_pairs(self, seq: int) -> Tensor:
        """Relative bucket of every (query, key): int64 `(seq, seq)`; nothing without relative positions."""
        if self.buckets.numel() == 0:
            return torch.empty(0, dtype=torch.int64)
        at = torch.arange(seq)
        return self.buckets[at[:, None] - at[None, :] + self.buckets.numel() // 2].to(torch.int64)

    def attend(self, x: Tensor, mask: Tensor, chosen: int, first_only: bool) -> Tensor:
        """Self-attention of one weight set, without norm or residual; `first_only`: of the first token."""
        batch, seq = x.size(0), x.size(1)
        heads, size = self.lists["heads"][chosen], self.lists["head_sizes"][chosen]
        query, key, value = self.query_key_value(x, chosen)
        if first_only:  # its query is rounded by its own range
            query, mask = self.query_key_value(x[:, :1], chosen)[0], mask[:, :, :1]
        queries = query.size(1)
        query = query.reshape(batch, queries, heads, size).transpose(1, 2)  # (batch, heads, queries, size)
        key = key.reshape(batch, seq, heads, size).permute(0, 2, 3, 1)  # (batch, heads, size, seq)
        value = value.reshape(batch, seq, heads, size).transpose(1, 2)
        scores = torch.matmul(query, key) / math.sqrt(size) + mask
        context = torch.matmul(torch.softmax(scores, dim=-1), value)
        return self.project(context.transpose(1, 2).reshape(batch, queries, heads * size), 4 * chosen + 3)

    def query_key_value(self, x: Tensor, chosen: int) -> list[Tensor]:
        """Queries, keys and values `(batch, seq, heads · size)` of one weight set."""
        slots, parts = self.lists["slots"], torch.jit.annotate(list[Tensor], [])
        for part in range(4 * chosen, 4 * chosen + 3):
            if slots[part] < slots[part + 1]:
                parts.append(self.project(x, part))
        width = self.lists["heads"][chosen] * self.lists["head_sizes"][chosen]
        query, key, value = torch.split(torch.cat(parts, 2), width, dim=2)
        return [query, key, value]

    def feed_forward(self, x: Tensor, chosen: int) -> Tensor:
        """`down(act(up(x)))` of one weight set."""
        slot = 4 * len(self.lists["heads"]) + 2 * chosen
        return self.project(self.activate(self.project(x, slot), self.options["hidden_act"]), slot + 1)

    def project(self, x: Tensor, slot: int) -> Tensor:
        """Apply a slot's linear layers, first to last; an empty slot changes nothing."""
        for i in range(self.lists["slots"][slot], self.lists["slots"][slot + 1]):
            if self.options["body_bits"] < 32:
                x = torch.ops.quantized.linear_dynamic(x, self.packed[i], False)
            else:
                x = torch._C._nn.linear(x, self.weights[i], self.biases[i])
        return x

    def norm(self, x: Tensor, i: int) -> Tensor:
        """LayerNorm, or NoNorm's affine map."""
        if self.options["no_norm"] == 1:
            return x * self.norm_weights[i] + self.norm_biases[i]
        return torch.layer_norm(x, [x.size(-1)], self.norm_weights[i], self.norm_biases[i], self.norm_eps)

    def activate(self, x: Tensor, act: int) -> Tensor:
        """The activation of this number in `student.config.ACTIVATIONS`."""
        if act == self.GELU:
            return torch._C._nn.gelu(x)
        if act == self.GELU_TANH:
            return torch._C._nn.gelu(x, approximate="tanh")
        return torch.relu(x) if act == self.RELU else torch.tanh(x)


class MobileModel(nn.Module):
    """What a file holds: the encoder, one level down.

    Of the outermost module a file stores every method, though `forward` has them all inlined: 3 kB of each artifact.
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self.encoder = MobileEncoder(state)

    @torch.jit.export
    def input_names(self) -> list[str]:
        """What `forward` takes, in order."""
        return self.encoder.input_names()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """int64 `(batch, seq)` each → logits `(batch, labels)` or `(batch, seq, labels)`."""
        return self.encoder(input_ids, attention_mask, token_type_ids)
