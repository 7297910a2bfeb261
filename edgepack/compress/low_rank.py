"""A weight matrix as the product of two thin ones, `W (out, in) ≈ up (out, r) · down (r, in)`.

Truncated SVD, the best rank-r approximation in the Frobenius norm (Eckart & Young 1936). With the second
moment of the layer's input, `C = E[x xᵀ] (in, in)`, the error is measured on the outputs instead,
`E‖(W − up · down) x‖²`, by taking the SVD of `W C^{1/2}` (as in Noach & Goldberg 2020). FWSVD (Hsu et al. 2022,
arXiv:2207.00112, eq. 5–8) is the same with `C = diag(Î²)`, `Î_i² = Σ_j E[(∂L/∂w)²]`: the paper writes `x W`, so its
rows are inputs. Here the mean over outputs stands for the sum, which changes no factor and makes the energies of
different matrices comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from edgepack.compress.surgery import rebuild
from edgepack.student.config import FFN_MATRICES
from edgepack.student.model import Student

Ranks = dict[str, list[int]]  # `ranks[matrix][set]`, 0 for a full one, as in `StudentConfig`
RANK_WEIGHTS = ("none", "inputs", "fisher")  # what a matrix's error is weighed by: nothing, its inputs, FWSVD
READERS = ("query", "key", "value")
SMALLEST_EIGENVALUE = 1e-6  # of the greatest: directions that no input takes stay distinct


def moment_roots(moment: Tensor) -> tuple[Tensor, Tensor]:
    """`(C^{1/2}, C^{-1/2})` of a symmetric positive semidefinite `(in, in)`, in double."""
    values, vectors = torch.linalg.eigh(moment.double())
    values = values.clamp(min=values.max() * SMALLEST_EIGENVALUE).sqrt()
    return vectors * values @ vectors.T, vectors / values @ vectors.T


def factorize(weight: Tensor, rank: int, input_moment: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`(up (out, rank), down (rank, in))` in `weight`'s dtype; exact when `rank` is at least `weight`'s."""
    matrix = weight.double()
    if input_moment is None:
        root = inverse = torch.eye(matrix.shape[1], dtype=torch.double, device=matrix.device)
    else:
        root, inverse = moment_roots(input_moment)
    left, singular, right = torch.linalg.svd(matrix @ root, full_matrices=False)
    scale = singular[:rank].sqrt()
    return (left[:, :rank] * scale).to(weight.dtype), (scale[:, None] * right[:rank] @ inverse).to(weight.dtype)


def body_matrices(student: Student) -> dict[str, nn.Linear]:
    """The full matrices that may be factorized, by the name `room.set.matrix`, e.g. `attention.0.query`."""
    found: dict[str, nn.Linear] = {}
    for name, module in student.named_modules():
        if (
            name.startswith(("attention.", "feed_forward."))
            and name.endswith(".full")
            and isinstance(module, nn.Linear)
        ):
            found[name.removesuffix(".full")] = module
    return found


@torch.no_grad()
def input_moments(student: Student, batches: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """`E[x xᵀ] (in, in)`, in double, over real tokens, of the input of every full matrix, by `body_matrices`' names."""
    matrices = body_matrices(student)
    sums = {name: torch.zeros(m.in_features, m.in_features, dtype=torch.double) for name, m in matrices.items()}
    counts = dict.fromkeys(matrices, 0)
    real = torch.empty(0)

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            rows = inputs[0][real].float()
            sums[name] += (rows.T @ rows).double().cpu()
            counts[name] += len(rows)

        return add

    # queries, keys and values may be one product, which calls none of the three: their input is the layer's
    layers = {f"attention.{s}.{matrix}": layer for s, layer in enumerate(student.attention) for matrix in READERS}
    handles = [layers.get(name, module).register_forward_pre_hook(watch(name)) for name, module in matrices.items()]
    try:
        for batch in batches:
            real = batch["attention_mask"].bool()
            student(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
    finally:
        for handle in handles:
            handle.remove()
    return {name: total / max(counts[name], 1) for name, total in sums.items()}


def fisher_moments(
    student: Student,
    batches: Iterable[dict[str, Tensor]],
    loss: Callable[[Tensor, dict[str, Tensor]], Tensor],
) -> dict[str, Tensor]:
    """FWSVD's weights as diagonal moments `(in, in)`: mean squared gradient of each input's column of `W (out, in)`.

    `loss(logits, batch)` must be a sum over examples. Examples run one at a time: the Fisher information is a mean of
    squares of single examples' gradients, which a batch's gradient does not hold.
    """
    matrices = body_matrices(student)
    weights = [module.weight for module in matrices.values()]
    sums = [torch.zeros(weight.shape[1], dtype=torch.double) for weight in weights]
    examples = 0
    for batch in batches:
        for i in range(len(batch["input_ids"])):
            length = int(batch["attention_mask"][i].sum())
            one = {k: v[i : i + 1, :length] if v.dim() > 1 else v[i : i + 1] for k, v in batch.items()}
            logits = student(one["input_ids"], one["attention_mask"], one["token_type_ids"]).logits
            gradients = torch.autograd.grad(loss(logits, one), weights)
            for total, gradient in zip(sums, gradients, strict=True):
                total += gradient.double().square().mean(0).cpu()
            examples += 1
    return {name: torch.diag(total / max(examples, 1)) for name, total in zip(matrices, sums, strict=True)}


def rank_of(ranks: Mapping[str, Sequence[int]], name: str) -> int:
    """The rank of the matrix `room.set.matrix`."""
    _, number, matrix = name.split(".")
    return ranks[matrix][int(number)]


def smaller_sides(student: Student) -> dict[str, int]:
    """The greatest rank that each full matrix can have, by the names of `body_matrices`."""
    return {name: min(module.weight.shape) for name, module in body_matrices(student).items()}


def factorize_matrices(
    student: Student, ranks: Mapping[str, Sequence[int]], moments: Mapping[str, Tensor] | None = None
) -> Student:
    """Replace full matrices by two factors of the given rank (0: left as it is).

    No rank may exceed its matrix's smaller side. `moments["attention.0.query"] (in, in)` and so on weigh the error.
    """
    config, state = student.config, dict(student.state_dict())
    merged = {matrix: list(values) for matrix, values in (config.ranks or {}).items()}
    for matrix, values in ranks.items():
        room = "feed_forward" if matrix in FFN_MATRICES else "attention"
        for s, rank in enumerate(values):
            name = f"{room}.{s}.{matrix}"
            if not rank or f"{name}.full.weight" not in state:
                continue
            weight = state.pop(f"{name}.full.weight")
            up, down = factorize(weight, rank, (moments or {}).get(name))
            state[f"{name}.up.weight"], state[f"{name}.down.weight"] = up, down
            state[f"{name}.up.bias"] = state.pop(f"{name}.full.bias")
            merged[matrix][s] = rank
    return rebuild(student, state, ranks=merged)
