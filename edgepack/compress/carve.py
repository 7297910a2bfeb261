"""Carve a smaller student out of a teacher's weights: the list of passes, in order.

The order keeps each exact step exact, and each choice well informed:

- Layers first: everything else is measured on those that remain. Then another kind of norm, then the hidden size, since
  a dimension goes everywhere or nowhere and heads and units are judged in what is left.
- Importance of heads and units next, while token ids are still the teacher's: the examples are in those.
- Token types, positions and vocabulary are exact and make the table small before its rows are projected.
- Sharing before heads and units: whole layers are merged, and a shared unit counts for all the layers it serves.
- Low rank last: its error is weighed by what the finished student's matrices read.
"""

from __future__ import annotations

from edgepack.compress.measurements import (
    MeasureHiddenImportance,
    MeasureImportance,
    MeasureMoments,
    MeasureRanks,
)
from edgepack.compress.passes import Carved, Evidence, Goal, Pass, run_passes
from edgepack.compress.shape_passes import (
    ConvolveWords,
    CutHead,
    CutHiddenSize,
    FactorizeMatrices,
    FoldTokenTypes,
    KeepUnits,
    MatchWords,
    NarrowEmbedding,
    ReplaceNorms,
    SelectLayers,
    ShareLayers,
    TrimPositions,
    TrimVocabulary,
)
from edgepack.student.model import Student

PASSES: tuple[Pass, ...] = (
    SelectLayers(),
    ReplaceNorms(),
    MeasureHiddenImportance(),
    CutHiddenSize(),
    MeasureImportance(),
    FoldTokenTypes(),
    TrimPositions(),
    TrimVocabulary(),
    NarrowEmbedding(),
    ConvolveWords(),
    MatchWords(),
    ShareLayers(),
    KeepUnits(),
    CutHead(),
    MeasureMoments(),
    MeasureRanks(),
    FactorizeMatrices(),
)


def carve(student: Student, goal: Goal, evidence: Evidence) -> Carved:
    """The student of the goal's shape, carved out of the bigger `student`, which stays as it is.

    What is in `evidence` already is not measured again. Where nothing has to change it is the same student.
    """
    return run_passes(PASSES, student, goal, evidence)
