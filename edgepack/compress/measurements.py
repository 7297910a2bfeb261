"""The measurements among carving's passes: what later passes choose by, each on the student that it is true of."""

from __future__ import annotations

from dataclasses import replace

from edgepack.compress.hidden_size import hidden_importance
from edgepack.compress.importance import importance_loss, measure_importance
from edgepack.compress.low_rank import RANK_WEIGHTS, fisher_moments, input_moments
from edgepack.compress.passes import Evidence, Goal, Pass, PassResult
from edgepack.compress.ranks import choose_ranks
from edgepack.student.model import Student


class MeasureHiddenImportance(Pass):
    """Importance of the hidden dimensions, where some are to go: on the layers that remain."""

    name = "importance of hidden dimensions"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _no_examples(evidence) if self.is_needed(student, goal, evidence) else None

    def is_needed(self, student: Student, goal: Goal, evidence: Evidence) -> bool:
        """Whether it is not known yet and something depends on it."""
        return evidence.hidden is None and goal.shape.hidden_size < student.config.hidden_size

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        if evidence.examples is None or not self.is_needed(student, goal, evidence):
            return PassResult(student, evidence, False)
        with evidence.examples.sample(student) as batches:
            measured = hidden_importance(student, batches, importance_loss(student))
        return PassResult(student, replace(evidence, hidden=measured), True)


class MeasureImportance(Pass):
    """Importance of heads and FFN units, where some are to go: in the hidden size that remains.

    Before the vocabulary is trimmed, since the examples are in the teacher's token ids, and before layers share: a
    shared unit's importance is the sum over the layers that it came from.
    """

    name = "importance of heads and units"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        return _no_examples(evidence) if self.is_needed(student, goal, evidence) else None

    def is_needed(self, student: Student, goal: Goal, evidence: Evidence) -> bool:
        """Whether it is not known yet and some set has more heads or units than some set of the goal's."""
        shape, config = goal.shape, student.config
        fewer = min(shape.num_heads or [0]) < max(config.num_heads or [0])
        fewer |= min(shape.intermediate_sizes or [0]) < max(config.intermediate_sizes or [0])
        return evidence.importance is None and fewer

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        if evidence.examples is None or not self.is_needed(student, goal, evidence):
            return PassResult(student, evidence, False)
        with evidence.examples.sample(student) as batches:
            measured = measure_importance(student, batches, importance_loss(student))
        return PassResult(student, replace(evidence, importance=measured), True)


class MeasureMoments(Pass):
    """What the errors of factorized matrices are weighed by: on the finished student, in its own token ids."""

    name = "moments"

    def requires(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        if goal.rank_weights not in RANK_WEIGHTS:
            return f"rank_weights is {goal.rank_weights!r}; allowed: {', '.join(RANK_WEIGHTS)}"
        if self.is_needed(goal, evidence) and evidence.own_examples is None:
            return "there are no examples in the student's token ids; give some, or rank_weights 'none'"
        return None

    def is_needed(self, goal: Goal, evidence: Evidence) -> bool:
        """Whether they are not known yet and some matrix is to be factorized by them."""
        return evidence.moments is None and goal.rank_weights != "none" and _has_ranks(goal)

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        if evidence.own_examples is None or not self.is_needed(goal, evidence):
            return PassResult(student, evidence, False)
        with evidence.own_examples.sample(student) as batches:
            if goal.rank_weights == "fisher":
                measured = fisher_moments(student, batches, importance_loss(student))
            else:
                measured = input_moments(student, batches)
        return PassResult(student, replace(evidence, moments=measured), True)


class MeasureRanks(Pass):
    """The rank of each matrix by the energy it captures, where the goal wants that, in the parameters of its ranks."""

    name = "ranks"

    def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
        choice, planned = goal.rank_choice, goal.shape.ranks
        if choice is None or planned is None or evidence.ranks is not None or not _has_ranks(goal):
            return PassResult(student, evidence, False)
        relative = goal.rank_weights != "fisher"  # Fisher moments are in units of the loss for every matrix
        ranks = choose_ranks(student, planned, choice.step, choice.fits, evidence.moments, relative)
        return PassResult(student, replace(evidence, ranks=ranks), ranks != planned)

    def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
        choice = goal.rank_choice
        if choice is None or evidence.ranks is None or evidence.ranks == goal.shape.ranks:
            return None
        return None if choice.fits(evidence.ranks) else f"ranks {evidence.ranks} do not fit"


def _no_examples(evidence: Evidence) -> str | None:
    return "there are no examples to measure it on; give some" if evidence.examples is None else None


def _has_ranks(goal: Goal) -> bool:
    return any(rank for ranks in (goal.shape.ranks or {}).values() for rank in ranks)
