"""Plans for teachers whose layers cannot be carved: how the student starts, how long it trains, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack.build import recipe
from edgepack.build.flow import plan_build
from edgepack.build.inputs import BuildRequest, open_inputs
from edgepack.build.recipe import NEW_BODY, Recipe, find_recipe
from edgepack.build.search_space import make_search_space
from edgepack.compress.distil.attention_maps import AttentionTransfer
from edgepack.compress.distil.soft_targets import SoftTargets
from edgepack.compress.module_replacing import ModuleReplacing
from edgepack.errors import InputError
from edgepack.plan.losses import NEW_BODY_LOSS
from edgepack.plan.search import search
from edgepack.train import Phase
from tests.builds.tiny import QUIET
from tests.teacher.tiny import NAMES, SENTENCES, write_teacher


def request(folder: Path, family: str, chosen: Recipe | None = None) -> BuildRequest:
    write_teacher(folder / "teacher", family)
    for name, count in (("train", 40), ("eval", 12)):
        rows = [{"text": f"{SENTENCES[i % 2]} {'now ' * (i % 5)}", "label": NAMES["text"][i % 2]} for i in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    paths = [str(folder / name) for name in ("teacher", "train.jsonl", "eval.jsonl")]
    asked = BuildRequest(*paths, 60_000, ("android-onnx",), folder / "out", effort="quick", allow_untrained=True)
    return replace(asked, recipe=chosen)


def test_a_plan_says_how_the_student_starts(tmp_path: Path) -> None:
    carved = plan_build(request(tmp_path / "bert", "bert"), QUIET)
    new = plan_build(request(tmp_path / "modernbert", "modernbert"), QUIET)
    parts = plan_build(request(tmp_path / "deberta", "deberta-v2"), QUIET)
    assert "the student is carved from the teacher's layers 1, 2" in carved.table()
    assert "the student starts from the teacher's word table with a new, random body" in new.table()
    assert "modernbert" in new.to_record()["start"]
    assert "from parts of the teacher's layers, without what is a deberta-v2's own in its attention" in parts.table()
    assert carved.time is not None
    assert new.time is not None
    assert new.time.examples >= NEW_BODY * recipe.RECIPES["quick"].examples_seen > carved.time.examples / NEW_BODY


def test_a_new_body_is_estimated_to_lose_more(tmp_path: Path) -> None:
    space = make_search_space(open_inputs(request(tmp_path, "modernbert"), QUIET))
    assert space.new_body
    with_layers = search(replace(space, new_body=False), 60_000).chosen
    assert search(space, 60_000).chosen.estimated_loss == pytest.approx(with_layers.estimated_loss + NEW_BODY_LOSS)


def losing(*losses: object, **settings: object) -> Recipe:
    phases = (Phase(1.0, (SoftTargets(), *losses)),)  # type: ignore[arg-type]
    return replace(find_recipe("quick"), phases=phases, **settings)  # type: ignore[arg-type]


REFUSED: dict[str, tuple[str, Recipe | None, str]] = {
    "states": ("funnel", None, r"phases\[0\]\.losses\[1\] is hidden_states, and a funnel gives no hidden states"),
    "attention": (
        "fnet",
        losing(AttentionTransfer()),
        r"phases\[0\]\.losses\[1\] is attention_transfer, and queries, keys and values of a fnet are not read",
    ),
    "layers": ("deberta-v2", losing(module_replacing=ModuleReplacing()), "module_replacing runs the teacher's layers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_teacher_does_not_give_is_refused_by_its_key(tmp_path: Path, name: str) -> None:
    family, chosen, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        plan_build(request(tmp_path, family, chosen), QUIET)
    assert "\n" not in str(caught.value)


def test_predictions_alone_need_no_states(tmp_path: Path) -> None:
    report = plan_build(request(tmp_path, "funnel", find_recipe("soft-targets")), QUIET)
    assert report.to_record()["training"]["states"]["states"] in ([], ())
