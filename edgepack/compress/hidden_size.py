"""A smaller hidden size: the same dimensions cut out of every layer, and what the cut shifts, corrected.

All layers add into one stream, so a hidden dimension goes everywhere or nowhere. Which go is decided by first-order
importance: one mask for each dimension at every point where the stream leaves a norm, `|Σ activation × gradient|` for
each example (Molchanov et al. 2019, arXiv:1906.10771, as for heads and units in `importance.py`). A rotation to
principal directions before the cut (SliceGPT, Ashkboos et al. 2024, arXiv:2401.15024) is left out: it needs norms
that do not act on single dimensions, and a post-norm LayerNorm does, at every layer.

A LayerNorm over `h` of `H` dimensions takes mean and variance of those alone. Where the dropped ones were 0 and the
kept ones have mean 0, its output is `√(H / h)` times too small, where they were like the others it is right; so
`compensate` fits each norm's weight and bias to the wide student's output on given batches, and then each matrix that
reads the stream to what its wide original computes, by least squares, layer after layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgepack.compress.surgery import POSITION, TYPE, WORD, State, rebuild
from edgepack.errors import InputError
from edgepack.student.match import MATCH
from edgepack.student.model import Student

RIDGE = 1e-2  # of the mean variance of the inputs: pulls a fitted matrix to the cut one where there are no data


@dataclass(frozen=True, eq=False)
class HiddenImportance:
    """Scores of the hidden dimensions, `(H,)`, and of the units of the head's dense layer (None: it has none)."""

    hidden: Tensor
    head: Tensor | None


def hidden_importance(
    student: Student,
    batches: Iterable[dict[str, Tensor]],
    loss: Callable[[Tensor, dict[str, Tensor]], Tensor],
) -> HiddenImportance:
    """Mean over examples of `|∂loss/∂mask|`; `loss(logits, batch)` must be a sum over examples."""
    size = student.config.hidden_size
    head_size = student.config.classifier_inputs
    hidden, head, examples = torch.zeros(size), torch.zeros(head_size), 0
    for batch in batches:
        count = len(batch["input_ids"])
        masks = [torch.ones(count, n, device=student.device, requires_grad=True) for n in (size, head_size)]
        with _masked(student, *masks):
            logits = student(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]).logits
            gradients = torch.autograd.grad(loss(logits, batch), masks, allow_unused=True)
        for total, gradient in zip((hidden, head), gradients, strict=True):
            if gradient is not None:
                total += gradient.abs().sum(0).cpu()
        examples += count
    has_dense = student.head.dense is not None
    return HiddenImportance(hidden / max(examples, 1), head / max(examples, 1) if has_dense else None)


@contextmanager
def _masked(student: Student, hidden: Tensor, head: Tensor) -> Iterator[None]:
    """Multiply every norm's output, as it enters the stream, and the head's dense output by masks `(batch, H)`."""

    def mask_stream(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        return output * hidden[:, None, :]

    def mask_head(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0] * (head if inputs[0].dim() == 2 else head[:, None, :]),)

    handles = [module.register_forward_hook(mask_stream) for module in _stream_points(student)]
    if student.head.dense is not None and student.head.classifier is not None:
        handles.append(student.head.classifier.register_forward_pre_hook(mask_head))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _stream_points(student: Student) -> list[nn.Module]:
    """The modules whose outputs are the stream, in the order they run: the embedding, then each layer's two norms."""
    points: list[nn.Module] = [student.embeddings]
    for attention_norm, ffn_norm in zip(student.attention_norms, student.ffn_norms, strict=True):
        points += [attention_norm, ffn_norm]
    return points


def cut_hidden(student: Student, kept: Tensor, head_kept: Tensor | None = None) -> Student:
    """Keep these hidden dimensions, `(h,)` int64, everywhere; `head_kept (h,)`: of the head's dense layer's units.

    Without `head_kept` the head's dense layer keeps the units of the same numbers; one that is not as wide as the
    stream has a size of its own and keeps all. Heads and FFN units stay, and so does the size of a text's vector.
    """
    student = with_vector_layer(student)
    config = student.config
    size = config.hidden_size
    for name, index in (("kept", kept), ("head_kept", kept if head_kept is None else head_kept)):
        if len(index) != len(kept) or not len(index) or len(set(index.tolist())) != len(index):
            raise InputError(f"hidden size: {name} has {len(index)} numbers; allowed: {len(kept)} different ones")
        if int(index.min()) < 0 or int(index.max()) >= size:
            raise InputError(f"hidden size: {name} reaches {int(index.max())}; allowed: 0 to {size - 1}")
    state = dict(student.state_dict())
    _cut_embeddings(state, student, kept)
    for name in list(state):
        room, _, rest = name.partition(".")
        if room in ("attention_norms", "ffn_norms"):
            state[name] = state[name][kept]
        elif room in ("attention", "feed_forward") and not rest.endswith("relative_bias"):
            state[name] = _cut_matrix(state[name], rest.split(".")[1:], kept)
    units = _head_units(student, kept, head_kept)
    state["head.classifier.weight"] = state["head.classifier.weight"][:, units]
    if student.head.dense is not None:
        state["head.dense.weight"] = state["head.dense.weight"][units][:, kept]
        state["head.dense.bias"] = state["head.dense.bias"][units]
    identity = config.embedding_projection == "identity"
    return rebuild(
        student,
        state,
        hidden_size=len(kept),
        embedding_size=len(kept) if identity else config.embedding_size,
    )


def with_vector_layer(student: Student) -> Student:
    """The same vectors out of a linear layer that changes nothing, where the pooled tokens themselves are the vector.

    Such a layer can be narrowed with the stream.
    """
    config = student.config
    if config.has_classifier:
        return student
    size = config.hidden_size
    layer = {"head.classifier.weight": torch.eye(size), "head.classifier.bias": torch.zeros(size)}
    return rebuild(student, {**student.state_dict(), **layer}, vector_size=size)


def _head_units(student: Student, kept: Tensor, head_kept: Tensor | None) -> Tensor:
    """Which of the classifier's inputs stay: stream dimensions, or units of the head's dense layer."""
    size = student.config.classifier_inputs
    if student.head.dense is None:
        return kept
    if size != student.config.hidden_size:
        return torch.arange(size)
    return kept if head_kept is None else head_kept


def _cut_matrix(tensor: Tensor, path: Sequence[str], kept: Tensor) -> Tensor:
    """One weight or bias of attention or FFN, `path` = (matrix, factor, weight or bias): its side on the stream cut."""
    matrix, factor, kind = path
    if matrix in ("query", "key", "value", "up"):  # read the stream
        return tensor[:, kept] if factor in ("full", "down") and kind == "weight" else tensor
    return tensor[kept] if factor in ("full", "up") else tensor  # output, down: write it


def _cut_embeddings(state: State, student: Student, kept: Tensor) -> None:
    config = student.config
    cut_rows = ["embeddings.projection", "embeddings.feed_forward.down.full", "embeddings.output_norm"]
    if not config.norm_before_projection and config.embedding_projection != "self_attentive":  # summed at size H
        cut_rows.append("embeddings.norm")
        tables = [POSITION, TYPE, *([WORD] if not config.has_projection else [])]
        state.update({name: state[name][:, kept] for name in tables if name in state})
    names = [f"{module}.{kind}" for module in cut_rows for kind in ("weight", "bias")]
    state.update({name: state[name][kept] for name in [*names, MATCH] if name in state})


@torch.no_grad()
def compensate(
    cut: Student,
    full: Student,
    kept: Tensor,
    batches: Sequence[dict[str, Tensor]],
    head_kept: Tensor | None = None,
) -> Student:
    """A copy of `cut` with norms and reading matrices fitted to `full` on the batches' real tokens.

    Weight sets that several layers share keep their cut weights: one matrix has no one wide original to follow there.
    """
    cut, full = rebuild(cut, cut.state_dict()), with_vector_layer(full)
    wanted = _outputs(full, _stream_points(full), batches)
    points = _stream_points(cut)
    norms = [_embedding_norm(cut), *points[1:]]
    for number, (point, norm) in enumerate(zip(points, norms, strict=True)):
        inputs, targets = _outputs(cut, [point], batches)[0], wanted[number]
        if norm is not None:
            inputs = _fit_norm(norm, inputs, targets[:, kept])
        if number == len(points) - 1 and cut.config.reads_first:  # the head reads that token alone
            inputs, targets = (_outputs(s, _stream_points(s)[-1:], batches, first=True)[0] for s in (cut, full))
        for narrow, wide in _readers(cut, full, number):
            rows = _head_units(full, kept, head_kept) if narrow is cut.head.dense else None
            _fit_linear(narrow, inputs, wide, targets, rows)
    return cut


def _embedding_norm(student: Student) -> nn.Module | None:
    """The norm whose output is the embedding's, if there is one."""
    if student.config.embedding_projection == "self_attentive":
        return student.embeddings.output_norm
    return None if student.config.norm_before_projection else student.embeddings.norm


def _readers(cut: Student, full: Student, point: int) -> list[tuple[nn.Linear, nn.Linear]]:
    """Pairs of linear layers, narrow and wide, that read the stream at this point and serve no other layer."""
    layer, config = point // 2, cut.config
    if layer == config.num_hidden_layers:
        name = "classifier" if cut.head.dense is None else "dense"
        narrow = getattr(cut.head, name)
        return [] if narrow is None else [(narrow, getattr(full.head, name))]  # a vector may be the stream itself
    sharing = (config.attention_sharing if point % 2 == 0 else config.ffn_sharing) or []
    if sharing.count(sharing[layer]) > 1:
        return []
    room, names = ("attention", ("query", "key", "value")) if point % 2 == 0 else ("feed_forward", ("up",))
    rooms = [getattr(student, room)[sharing[layer]] for student in (cut, full)]
    return [(getattr(rooms[0], n).factors()[0], getattr(rooms[1], n).factors()[0]) for n in names]


def _outputs(
    student: Student, modules: Sequence[nn.Module], batches: Sequence[dict[str, Tensor]], first: bool = False
) -> list[Tensor]:
    """What each module gives on the real tokens of all batches, or on their first tokens: `(tokens, size)`."""
    found: list[list[Tensor]] = [[] for _ in modules]

    def keep(rows: list[Tensor]) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _, __, output: rows.append(output)

    handles = [module.register_forward_hook(keep(rows)) for module, rows in zip(modules, found, strict=True)]
    try:
        for batch in batches:
            student(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
    finally:
        for handle in handles:
            handle.remove()
    masks = [batch["attention_mask"].bool() for batch in batches]
    if first:
        masks = [mask & (torch.arange(mask.shape[1]) == 0) for mask in masks]
    return [torch.cat([rows[mask] for rows, mask in zip(each, masks, strict=True)]) for each in found]


def _fit_norm(norm: nn.Module, given: Tensor, wanted: Tensor) -> Tensor:
    """Change weight and bias so that the output `given (n, h)` comes nearest to `wanted`; returns the new output."""
    centred = given - given.mean(0)
    slope = (centred * (wanted - wanted.mean(0))).sum(0) / centred.square().sum(0).clamp(min=1e-12)
    weight, bias = norm.get_parameter("weight"), norm.get_parameter("bias")
    weight.mul_(slope)
    bias.copy_(slope * bias + wanted.mean(0) - slope * given.mean(0))
    return centred * slope + wanted.mean(0)


def _fit_linear(
    narrow: nn.Linear, inputs: Tensor, wide: nn.Linear, wide_inputs: Tensor, rows: Tensor | None = None
) -> None:
    """Ridge regression of the wide layer's outputs (`rows` of them) on the narrow layer's inputs `(n, h)`."""
    weight = wide.weight if rows is None else wide.weight[rows]
    wanted = wide_inputs.double() @ weight.double().T
    x = inputs.double() - inputs.double().mean(0)
    start = narrow.weight.double()
    left = wanted - wanted.mean(0) - x @ start.T
    gram = x.T @ x
    spread = gram.diagonal().mean().clamp(min=1e-12)  # inputs that never change have none
    gram += RIDGE * spread * torch.eye(len(gram), dtype=torch.double)
    change = torch.linalg.solve(gram, x.T @ left).T
    narrow.weight.copy_(start + change)
    if narrow.bias is not None and wide.bias is not None:
        bias = wide.bias if rows is None else wide.bias[rows]
        shift = wanted.mean(0) - inputs.double().mean(0) @ narrow.weight.double().T
        narrow.bias.copy_(bias.double() + shift)
