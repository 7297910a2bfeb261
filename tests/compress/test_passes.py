"""Each pass of carving changes what it should, leaves alone what is right already, and refuses what it cannot do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from edgepack.compress.carve import PASSES, carve
from edgepack.compress.examples import Examples
from edgepack.compress.hidden_size import HiddenImportance
from edgepack.compress.passes import BrokenPromise, Evidence, Goal, Pass, PassResult, RankChoice, run_passes
from edgepack.compress.surgery import rebuild
from edgepack.compress.units import Importance
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.student.config import StudentConfig, changed_config
from edgepack.student.model import Student
from edgepack.task.encoded import Encoded
from tests.noisy import noisy_student

LAYERS, HIDDEN, WORDS = 3, 16, 40
ALL = tuple(range(LAYERS))
NAMED = {each.name: each for each in PASSES}
HALF = {m: [4] * LAYERS for m in ("query", "key", "value", "output", "up", "down")}


def make_student(**changes: object) -> Student:
    shape: dict[str, object] = {
        "vocab_size": WORDS,
        "embedding_size": HIDDEN,
        "embedding_projection": "identity",
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_heads": [4] * LAYERS,
        "head_sizes": [4] * LAYERS,
        "intermediate_sizes": [20] * LAYERS,
        "max_position_embeddings": 16,
        "type_vocab_size": 2,
        "id2label": {0: "a", 1: "b", 2: "c"},
    }
    return noisy_student(StudentConfig(**{**shape, **changes})).eval()


def make_examples() -> Examples:
    generator = np.random.default_rng(0)
    offsets = np.arange(0, 21 * 6, 6)
    ids = generator.integers(0, WORDS, offsets[-1]).astype(np.int32)
    data = Encoded(ids, np.zeros(len(ids), np.int8), offsets, generator.integers(0, 3, 20))
    return Examples(data, 0, 20, Console(quiet=True))


def scores() -> Importance:
    generator = torch.Generator().manual_seed(1)
    heads, units = (tuple(torch.rand(n, generator=generator) for _ in ALL) for n in (4, 20))
    return Importance(heads, units)


@dataclass(frozen=True)
class Case:
    """A goal that makes a pass work, the evidence it needs, and what is then seen; a goal that it refuses."""

    reached: dict[str, Any]  # fields of the config after the pass
    goal: dict[str, Any] = field(default_factory=dict)  # fields of the goal's shape, where they are not `reached`
    layers: tuple[int, ...] = ALL
    evidence: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)  # of the student that it works on
    wrong: dict[str, Any] = field(default_factory=dict)  # a goal that it refuses, of the plain student
    wrong_layers: tuple[int, ...] = ALL
    message: str = ""


CASES = {
    "layers": Case(
        {"num_hidden_layers": 2},
        goal={"num_heads": [4] * 2, "head_sizes": [4] * 2, "intermediate_sizes": [20] * 2, "ranks": None}
        | {"attention_sharing": [0, 1], "ffn_sharing": [0, 1]},
        layers=(0, 2),
        wrong_layers=(0, 1, 3),
        message=r"layers are \[0, 1, 3\]; allowed: rising numbers from 0 to 2",
    ),
    "norms": Case(
        {"norm": "no_norm"},
        evidence={"examples": make_examples()},
        wrong={"norm": "no_norm"},
        message="no examples to fit",
    ),
    "hidden size": Case(
        {"hidden_size": 10, "embedding_size": 10},
        evidence={"examples": make_examples(), "hidden": HiddenImportance(torch.rand(HIDDEN), torch.rand(HIDDEN))},
        wrong={"hidden_size": 17, "embedding_size": 17},
        message="hidden size is 17; allowed: 1 to 16",
    ),
    "token types": Case({"type_vocab_size": 0}, wrong={"type_vocab_size": 1}, message="is 1; allowed: 0 or 2"),
    "positions": Case(
        {"max_position_embeddings": 9}, wrong={"max_position_embeddings": 17}, message="max length 17; allowed: 1 to 16"
    ),
    "vocabulary": Case(
        {"vocab_map": [1, 3, 5], "vocab_size": 3},
        wrong={"vocab_map": [1, WORDS], "vocab_size": 2},
        message="allowed: some from 0 to 39",
    ),
    "embedding": Case(
        {"embedding_size": 6, "embedding_projection": "linear"},
        wrong={"embedding_size": 20, "embedding_projection": "linear"},
        message="embedding size 20 from an embedding of 16 .identity.; allowed: 1 to 15",
    ),
    "convolution": Case(
        {"embedding_size": 6, "embedding_projection": "linear", "embedding_kernel": 5},
        start={"embedding_size": 6, "embedding_projection": "linear"},
        wrong={"embedding_size": 6, "embedding_projection": "linear", "embedding_kernel": 3},
        message="embedding_kernel is 3; allowed: 1, where",
    ),
    "matching words": Case(
        {"match_separator": 3},
        wrong={"match_separator": 500, "vocab_size": 1000},
        message="match_separator is 500; allowed: an id below",
    ),
    "sharing": Case(
        {"attention_sharing": [0, 0, 0], "ffn_sharing": [0, 1, 1]},
        goal={"num_heads": [4], "head_sizes": [4], "intermediate_sizes": [20, 20], "ranks": None},
        evidence={"importance": scores()},
        wrong={"num_hidden_layers": 2, "attention_sharing": [0, 0], "ffn_sharing": [0, 0]}
        | {"num_heads": [4], "head_sizes": [4], "intermediate_sizes": [20], "ranks": None},
        message=r"layers of attention_sharing and ffn_sharing: \(2, 2\); needed: \(3, 3\)",
    ),
    "heads and units": Case(
        {"num_heads": [1, 4, 2], "intermediate_sizes": [20, 3, 8]},
        evidence={"importance": scores()},
        wrong={"num_heads": [5, 4, 4]},
        message=r"num_heads is \[5, 4, 4\]; allowed: 1 to \[4, 4, 4\]",
    ),
    "head": Case({"head_size": 4}, wrong={"head_size": 17}, message="inputs are 17; allowed: 1 to 16"),
    "low rank": Case(
        {"ranks": HALF}, wrong={"ranks": {**HALF, "up": [4, 17, 4]}}, message=r"rank 17 of feed_forward\.1\.up"
    ),
}


def test_every_pass_that_changes_the_shape_has_a_case() -> None:
    measured = {"importance of hidden dimensions", "importance of heads and units", "moments", "ranks"}
    assert set(NAMED) == set(CASES) | measured
    assert len(PASSES) == len(NAMED)


def goal_of(student: Student, layers: tuple[int, ...] = ALL, **fields: Any) -> Goal:
    return Goal(layers, changed_config(student.config, **fields))


@pytest.mark.parametrize("name", CASES)
def test_a_pass_changes_its_axis_alone_and_never_the_student_it_was_given(name: str) -> None:
    case, student = CASES[name], make_student(**CASES[name].start)
    before = {key: value.clone() for key, value in student.state_dict().items()}
    goal = goal_of(student, case.layers, **{**case.goal, **case.reached})
    carved = run_passes([NAMED[name]], student, goal, Evidence(**case.evidence))
    assert carved.changed == (name,)
    found = carved.student.config.to_dict()
    assert {field: found[field] for field in case.reached} == case.reached
    assert carved.student is not student
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())
    # run on what it made, the pass has nothing left to do
    reached = Goal(tuple(range(found["num_hidden_layers"])), goal.shape)
    again = run_passes([NAMED[name]], carved.student, reached, carved.evidence)
    assert again.changed == ()
    assert again.student is carved.student


@pytest.mark.parametrize("each", PASSES, ids=lambda each: each.name)
def test_a_pass_with_nothing_to_do_says_so_and_gives_the_same_student(each: Pass) -> None:
    student, evidence = make_student(), Evidence()
    result = each(student, goal_of(student), evidence)
    assert each.requires(student, goal_of(student), evidence) is None
    assert (result.student is student, result.evidence is evidence, result.changed) == (True, True, False)


@pytest.mark.parametrize("name", CASES)
def test_a_violated_precondition_is_an_error_that_names_the_pass(name: str) -> None:
    case, student = CASES[name], make_student()
    goal = goal_of(student, case.wrong_layers, **case.wrong)
    evidence = Evidence() if name == "norms" else Evidence(**case.evidence)
    with pytest.raises(
        InputError, match=rf"carving, pass '{name}' \(done before: none\): precondition: .*{case.message}"
    ):
        run_passes([NAMED[name]], student, goal, evidence)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("importance of hidden dimensions", {"hidden_size": 10, "embedding_size": 10}, "no examples to measure it on"),
        ("hidden size", {"hidden_size": 10, "embedding_size": 10}, "no examples to fit norms to"),
        ("importance of heads and units", {"num_heads": [2] * LAYERS}, "no examples to measure it on"),
        ("heads and units", {"num_heads": [2] * LAYERS}, "importance of heads and units is needed"),
    ],
)
def test_missing_evidence_is_named(name: str, fields: dict[str, Any], message: str) -> None:
    student = make_student()
    with pytest.raises(InputError, match=f"pass '{name}'.*{message}"):
        run_passes([NAMED[name]], student, goal_of(student, **fields), Evidence())


def test_low_rank_asks_for_what_weighs_it() -> None:
    student = make_student()
    goal = Goal(ALL, changed_config(student.config, ranks=HALF), rank_weights="inputs")
    with pytest.raises(InputError, match=r"pass 'moments'.*no examples in the student's token ids"):
        run_passes([NAMED["moments"]], student, goal, Evidence())
    with pytest.raises(InputError, match=r"pass 'low rank'.*no moment of attention\.0\.query"):
        run_passes([NAMED["low rank"]], student, goal, Evidence(moments={}))
    wrong = Goal(ALL, goal.shape, rank_weights="magic")
    with pytest.raises(InputError, match="rank_weights is 'magic'; allowed: none, inputs, fisher"):
        run_passes([NAMED["moments"]], student, wrong, Evidence())


def test_measurements_fill_in_what_later_passes_need_once() -> None:
    student, examples = make_student(), make_examples()
    fields = {"hidden_size": 10, "embedding_size": 10, "num_heads": [2] * LAYERS, "ranks": HALF}
    shape = changed_config(student.config, **fields)
    goal = Goal(ALL, shape, rank_weights="inputs", rank_choice=RankChoice(1, lambda _: True))
    evidence = Evidence(examples=examples, own_examples=examples)
    steps = {
        "importance of hidden dimensions": "hidden",
        "importance of heads and units": "importance",
        "moments": "moments",
        "ranks": "ranks",
    }
    for name, found in steps.items():
        carved = run_passes([NAMED[name]], student, goal, evidence)
        assert getattr(evidence, found) is None
        assert getattr(carved.evidence, found) is not None
        assert carved.changed == (name,)
        assert carved.student is student
        again = run_passes([NAMED[name]], student, goal, carved.evidence)
        assert getattr(again.evidence, found) is getattr(carved.evidence, found)
        assert again.changed == ()


def test_sharing_sums_the_importance_of_the_layers_it_merges() -> None:
    student, given = make_student(), scores()
    fields = {"attention_sharing": [0] * LAYERS, "num_heads": [4], "head_sizes": [4], "ranks": None}
    carved = run_passes([NAMED["sharing"]], student, goal_of(student, **fields), Evidence(importance=given))
    summed = carved.evidence.importance
    assert summed is not None
    assert len(summed.heads) == 1
    assert float(summed.heads[0].sum()) == pytest.approx(float(sum(h.sum() for h in given.heads)))
    assert len(summed.units) == LAYERS


def test_all_passes_together_reach_the_shape_and_name_what_they_did() -> None:
    student, examples = make_student(), make_examples()
    shape = changed_config(
        student.config,
        num_hidden_layers=2,
        attention_sharing=[0, 1],
        ffn_sharing=[0, 0],
        num_heads=[2, 3],
        head_sizes=[4, 4],
        intermediate_sizes=[7],
        norm="no_norm",
        hidden_size=12,
        embedding_size=6,
        embedding_projection="linear",
        embedding_kernel=3,
        match_separator=2,
        vocab_map=[*range(1, WORDS)],
        vocab_size=WORDS - 1,
        max_position_embeddings=8,
        type_vocab_size=0,
        head_size=5,
        ranks={m: [3] * (1 if m in ("up", "down") else 2) for m in HALF},
    )
    carved = carve(student, Goal((0, 2), shape), Evidence(torch.arange(WORDS), 0, examples))
    unused = {"moments", "ranks"}  # nothing weighs the ranks, and they are given
    assert carved.changed == tuple(each.name for each in PASSES if each.name not in unused)
    assert {k: v for k, v in carved.student.config.to_dict().items() if k != "dtype"} == {
        k: v for k, v in shape.to_dict().items() if k != "dtype"
    }
    assert carved.evidence.hidden_map is not None
    assert carved.evidence.hidden_map.sum() == 12
    ids = torch.randint(0, WORDS - 1, (2, 8))
    assert torch.isfinite(carved.student(ids, torch.ones_like(ids)).logits).all()


def test_the_teachers_own_shape_is_the_same_student_and_measures_nothing() -> None:
    student = make_student()
    carved = carve(student, goal_of(student), Evidence())
    assert (carved.student is student, carved.changed) == (True, ())


def test_failures_name_the_pass_and_those_done_before() -> None:
    student = make_student()
    fields = {"type_vocab_size": 0, "intermediate_sizes": [20, 20, 20], "max_position_embeddings": 30}
    with pytest.raises(InputError, match=r"pass 'positions' \(done before: layers, .*, token types\): precondition"):
        carve(student, goal_of(student, **fields), Evidence())

    class Breaks(Pass):
        name = "breaks"

        def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
            raise ZeroDivisionError

    class Lies(Pass):
        name = "lies"

        def __call__(self, student: Student, goal: Goal, evidence: Evidence) -> PassResult:
            return PassResult(student, evidence, True)

        def ensures(self, student: Student, goal: Goal, evidence: Evidence) -> str | None:
            return "nothing was done"

    with pytest.raises(ZeroDivisionError) as caught:
        run_passes([NAMED["layers"], Breaks()], student, goal_of(student), Evidence())
    assert caught.value.__notes__ == ["carving, pass 'breaks' (done before: layers)"]
    with pytest.raises(BrokenPromise, match=r"pass 'lies' .*: postcondition: nothing was done"):
        run_passes([Lies()], student, goal_of(student), Evidence())
    uneven = make_student(intermediate_sizes=[20, 10, 20])
    with pytest.raises(InputError, match=r"pass 'sharing' \(done before: none\): feed_forward sets .* differ in size"):
        run_passes(
            [NAMED["sharing"]],
            uneven,
            goal_of(student, ffn_sharing=[0] * 3, intermediate_sizes=[20], ranks=None),
            Evidence(),
        )


def test_norms_of_another_kind_are_fitted_to_what_was_there() -> None:
    student, examples = make_student(), make_examples()
    carved = run_passes([NAMED["norms"]], student, goal_of(student, norm="no_norm"), Evidence(examples=examples))
    bare = rebuild(student, student.state_dict(), norm="no_norm")
    ids = torch.randint(1, WORDS, (32, 9), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted, fitted, unfitted = (each(ids, torch.ones_like(ids)).logits for each in (student, carved.student, bare))
    assert float((fitted - wanted).square().mean()) < float((wanted - wanted.mean(0)).square().mean())
    assert float((fitted - wanted).square().mean()) < 0.5 * float((unfitted - wanted).square().mean())


def test_passes_share_layers_and_their_caller_shares_none() -> None:
    """A change of a table copies no layer; what comes out can be trained without touching what went in."""
    student, trim = make_student(), NAMED["positions"]
    goal = Goal(ALL, changed_config(student.config, max_position_embeddings=8))
    shared = trim(student, goal, Evidence()).student
    assert shared.attention[0].query.full.weight.data_ptr() == student.attention[0].query.full.weight.data_ptr()
    own = run_passes((trim,), student, goal, Evidence()).student
    theirs = {parameter.untyped_storage().data_ptr() for parameter in student.parameters()}
    assert not theirs & {parameter.untyped_storage().data_ptr() for parameter in own.parameters()}
    assert all(torch.equal(own.state_dict()[n], t) for n, t in shared.state_dict().items())
