"""Where a target's bytes go, by what they are for. Predicting them belongs to `plan`."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.plan.byte_rows import byte_parts
from edgepack.report.records import PlanRecord

# A tensor belongs to the first group that has a part of its name. The keys are classes of the page's style too.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tokenizer": ("tokenizer", ("(tokenizer)",)),
    "structure": ("file structure", ("(structure)",)),
    "scales": ("scales, biases, norms", ("vectors", "scales", "norm", ".bias", ".gain")),
    "words": ("word embeddings", ("word",)),
    "embeddings": ("other embeddings", ("embedding", "position", "relative", "token_type")),
    "attention": ("attention", ("attention",)),
    "feed-forward": ("feed-forward", ("feed_forward",)),
    "head": ("head", ("head.",)),
    "layers": ("layers", ("body weights",)),
    "other": ("other constants", ("",)),
}
MOST_TENSORS = 200  # named in the page; a file of more has them by group


@dataclass(frozen=True)
class Group:
    """Bytes of one kind; `key` is its class in the page's style."""

    key: str
    name: str
    size_bytes: int
    share: float


@dataclass(frozen=True)
class TargetBytes:
    """A target's shipped bytes, as the plan has them: by group and by tensor, largest first."""

    target: str
    total: int
    groups: tuple[Group, ...]
    tensors: tuple[tuple[str, int], ...]


def target_bytes(plan: PlanRecord, target: str) -> TargetBytes:
    """The bytes of the plan's first candidate on this target."""
    tensors = plan.tensors.get(target, {})
    total = plan.candidates[0].bytes.get(target, sum(tensors.values()) + plan.tokenizer_bytes)
    every = byte_parts(tensors, plan.tokenizer_bytes, total)
    parts = {name: count for name, count in every.items() if count > 0}
    sums: dict[str, int] = {}
    for name, count in parts.items():
        key = group_of(name)
        sums[key] = sums.get(key, 0) + count
    whole = sum(parts.values()) or 1
    groups = [Group(key, GROUPS[key][0], count, count / whole) for key, count in sums.items()]
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return TargetBytes(target, whole, tuple(sorted(groups, key=lambda g: -g.size_bytes)), tuple(ordered[:MOST_TENSORS]))


def group_of(tensor: str) -> str:
    """The key of the tensor's group."""
    return next(key for key, (_, parts) in GROUPS.items() if any(part in tensor for part in parts))
