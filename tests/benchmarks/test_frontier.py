"""The frontier as a table and as a plot, and other tools' points beside it."""

from __future__ import annotations

import math
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks import baselines, frontier, other_tools, plot
from benchmarks.building import Result
from benchmarks.other_tools import OtherResult
from benchmarks.runs import Run, build_request
from benchmarks.speed import Speed
from benchmarks.store import RESULTS, Store
from benchmarks.tables import with_table
from edgepack.errors import InputError, MissingDependency
from edgepack.runtime.onnxruntime import load

Make = Callable[..., Result]


def keep(store: Store, *results: Result) -> None:
    for result in results:
        store.save(result.run.key, result)


@pytest.fixture
def found_results(result_of: Make) -> list[Result]:
    several = [result_of(Run("frontier", "sst2", 4_000_000, s), v) for s, v in enumerate((0.891, 0.900, 0.909))]
    single = result_of(Run("frontier", "sst2", 1_000_000, 0), 0.873, resumed=True, speed=None)
    other_effort = result_of(Run("frontier", "sst2", 1_000_000, 0, "quick"), 0.5)
    return [single, *several[::-1], other_effort, result_of(Run("frontier", "snips", 2_000_000, 0), 0.889)]


@pytest.fixture
def other_result(result_of: Make) -> Callable[[str, str, int, float], OtherResult]:
    def make(task: str, tool: str, shipped_bytes: int, value: float) -> OtherResult:
        base = result_of(Run("frontier", task, 4_000_000, 0), value)
        return OtherResult(
            task=task,
            tool=tool,
            model_bytes=shipped_bytes - 60_000,
            shipped_bytes=shipped_bytes,
            metric=base.metric,
            teacher=base.teacher,
            retention=base.retention,
            speed=Speed(tokens=32, artifact_ms=4.0, int8_ms=2.0) if tool != "int8" else None,
            versions={},
            created="now",
        )

    return make


def test_the_frontier_table_says_seeds_intervals_and_what_was_interrupted(found_results: list[Result]) -> None:
    found = frontier.points(found_results)
    assert [(p.task, p.budget_bytes, len(p.results)) for p in found] == [
        ("sst2", 4_000_000, 3),
        ("sst2", 1_000_000, 1),
        ("snips", 2_000_000, 1),
    ]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in frontier.frontier_table(found, {}).splitlines()]
    half = math.hypot(4.302653 * 0.01 / math.sqrt(3), 0.01)  # t(2) · s / √n of 0.99, 1.00, 1.01; each one has 0.01
    assert rows[2][:7] == [
        "SST-2",
        "4MB",
        "3,999,000",
        "0.9000",
        "0.9000",
        f"100.0% ({1 - half:.1%} to {1 + half:.1%})",
        "99.0% / 100.0% / 101.0%",
    ]
    assert rows[2][7:] == [
        "none recorded",
        "4.0 × / 4.0 × / 4.0 ×",
        "6 × 2 × 128, 64, 12,000, 4/4",
        "10 min",
        "1.20 GB",
    ]
    assert rows[3][5:9] == ["97.0% (96.0% to 98.0%)", "97.0%", "none recorded", "-"]
    assert rows[3][10:] == ["was interrupted", "-"]


def test_means_are_over_tasks_with_what_dev_and_seeds_change_in_each(result_of: Make) -> None:
    kept = {"sst2": 0.891, "snips": 0.855}  # of a teacher's 0.9: 99 and 95 %, each ± 1 point
    found = frontier.points([result_of(Run("frontier", task, 1_000_000, 0), value) for task, value in kept.items()])
    rows = frontier.means_table(found).splitlines()[2:]
    half = 0.01 / math.sqrt(2)
    expected = f"{0.97:.1%} ({0.97 - half:.1%} to {0.97 + half:.1%})"
    assert rows == [f"| 1MB | 2 of 6 | {expected} | 98.5% | 95.0% (SNIPS) | 97.5% |"]


def test_the_best_cheap_classifier_of_a_budget_is_named_with_its_mean_over_seeds(tmp_path: Path) -> None:
    def keep_one(method: str, seed: int, accuracy: float | None) -> None:
        key = baselines.key(method, "sick", 250_000, seed)
        result = baselines.Result(
            data="sick",
            method=method,
            budget_bytes=250_000,
            seed=seed,
            bytes=200_000 + seed,
            accuracy=accuracy,
            settings="",
            seconds=1.0,
            versions={},
        )
        Store(tmp_path / baselines.NAME).save(key, result)

    for seed, accuracy in enumerate((0.70, 0.72)):
        keep_one(baselines.STATIC, seed, accuracy)
    keep_one(baselines.FASTTEXT, 0, 0.705)
    keep_one(baselines.FASTTEXT, 1, None)  # nothing fits
    found = frontier.read_alternatives(tmp_path)
    assert {place: best.words() for place, best in found.items()} == {
        ("sick-entailment", 250_000): "0.7100 (static embeddings, 0.20 MB)"
    }


def test_the_frontier_has_teachers_of_its_own(tmp_path: Path) -> None:
    runs = frontier.plan_runs(["banking77", "sst2"], [1_000_000])
    assert [(run.task, run.seed) for run in runs] == [(name, n) for n in range(3) for name in ("banking77", "sst2")]
    made, shared = (build_request(run, tmp_path / "shared", tmp_path / "work", "cpu") for run in runs[:2])
    assert made.teacher == str(tmp_path / "work/kind-teachers/banking77")
    assert shared.teacher == str(tmp_path / "shared/models/teacher-sst2")
    assert set(frontier.ALTERNATIVES) == set(frontier.TITLES)


def test_the_summary_holds_both_tables(found_results: list[Result], other_result: Callable[..., OtherResult]) -> None:
    others = [other_result("sst2", "int8", 23_000_000, 0.89), other_result("sst2", "4-bit", 14_000_000, 0.9)]
    page = plot.summary(frontier.points(found_results), others, {})
    lines = [line for line in page.splitlines() if line.startswith(("| SST-2 | int8", "| SST-2 | 4-bit"))]
    assert lines[0].startswith("| SST-2 | int8 | 23,000,000 | 0.8900 | 0.9000 | 98.9% (97.9% to 99.9%) | 1.00 × |")
    assert lines[1].endswith("| 0.50 × |")
    assert "Other tools" in page


def test_the_short_table_has_a_row_for_each_task_and_means_over_seeds(
    found_results: list[Result], other_result: Callable[..., OtherResult]
) -> None:
    others = [other_result("sst2", "4-bit", 14_000_000, 0.9), other_result("sst2", "int8", 23_000_000, 0.89)]
    lines = plot.short_table(frontier.points(found_results), others).splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert head[2:] == ["ONNX Runtime int8", "ONNX Runtime 4-bit", "edgepack, 4 MB", "edgepack, 2 MB", "edgepack, 1 MB"]
    assert [row[0] for row in rows] == ["SST-2", "SNIPS"]
    assert rows[0][2] == "98.9% (97.9% to 99.9%), 1 ×, 23 MB"
    assert [cell.partition("), ")[2] for cell in rows[0][2:]] == ["1 ×, 23 MB", "0.5 ×, 14 MB", "4 ×", "", ""]
    assert [bool(cell) for cell in rows[0][2:]] == [True, True, True, False, True]
    assert [bool(cell) for cell in rows[1][2:]] == [False, False, False, True, False]


def test_the_pages_hold_the_tables_of_the_recorded_runs() -> None:
    found = frontier.points(list(Store(RESULTS / "frontier").load_all(Result).values()))
    others = list(Store(RESULTS / other_tools.NAME).load_all(OtherResult).values())
    tables = {plot.PAGE: ("frontier", plot.summary(found, others, frontier.read_alternatives(RESULTS)))}
    tables[plot.README] = (plot.SUMMARY, plot.short_table(found, others))
    for page, (name, table) in tables.items():
        text = page.read_text(encoding="utf-8")
        assert text == with_table(text, name, table), f"run `python -m benchmarks plot` ({page.name})"


def test_without_matplotlib_the_line_that_installs_it_is_given(
    monkeypatch: pytest.MonkeyPatch, found_results: list[Result]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependency, match=r'pip install "edgepack\[plot\]"'):
        plot.draw(frontier.points(found_results), [], {})


def test_the_plot_is_the_same_bytes_from_the_same_results(
    tmp_path: Path, found_results: list[Result], other_result: Callable[..., OtherResult]
) -> None:
    pytest.importorskip("matplotlib", reason='matplotlib is not installed: pip install "edgepack[plot]"')
    results, others = found_results, [other_result("snips", "4-bit", 14_000_000, 0.9)]
    folder = tmp_path / "results"
    keep(Store(folder / "frontier"), *results)
    for other in others:
        Store(folder / "other-tools").save(f"{other.task}-{other.tool}", other)
    images, page = [tmp_path / name / "frontier.svg" for name in ("a", "b")], tmp_path / "results.md"
    readme = tmp_path / "short.md"
    page.write_text("before\n<!-- table:frontier -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    readme.write_text("<!-- table:results -->\nold\n<!-- end -->\n", encoding="utf-8")
    for image in images:
        plot.main(["--results", str(folder), "--image", str(image), "--page", str(page), "--readme", str(readme)])
    assert images[0].read_bytes() == images[1].read_bytes()
    text = images[0].read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "<dc:date>" not in text
    assert all(f"<!-- {title} -->" in text for title in ("SST-2", "SNIPS", "edgepack"))
    tables = plot.summary(frontier.points(results), others, {})
    written = page.read_text(encoding="utf-8")
    assert written == f"before\n<!-- table:frontier -->\n{tables}\n<!-- end -->\nafter\n"
    short = plot.short_table(frontier.points(results), others)
    assert readme.read_text(encoding="utf-8") == f"<!-- table:results -->\n{short}\n<!-- end -->\n"
    moved = [r.model_copy(update={"shipped_bytes": r.shipped_bytes // 2}) for r in results]
    assert plot.draw(frontier.points(moved), others, {}) != images[0].read_bytes()


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='matplotlib is not installed: pip install "edgepack[plot]"')
    with pytest.raises(InputError, match="no result to draw"):
        plot.main(["--results", str(tmp_path)])


def test_without_onnx_ir_the_line_that_installs_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "onnxruntime.quantization.matmul_nbits_quantizer", raising=False)
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    with pytest.raises(MissingDependency, match="pip install onnx-ir"):
        other_tools.quantize_4_bits(tmp_path)


def test_the_4_bit_model_holds_products_and_tables_in_4_bits(tmp_path: Path) -> None:
    pytest.importorskip("onnx_ir", reason="onnx-ir is not installed: pip install onnx-ir")
    generator = np.random.default_rng(0)
    table, weight = (generator.standard_normal(shape).astype(np.float32) for shape in ((256, 64), (64, 32)))
    helper, flt, int64 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"], name="gather"),
            helper.make_node("MatMul", ["rows", "weight"], ["logits"], name="product"),
        ],
        "tiny",
        [helper.make_tensor_value_info("input_ids", int64, ["batch", "seq"])],
        [helper.make_tensor_value_info("logits", flt, ["batch", "seq", 32])],
        [onnx.numpy_helper.from_array(table, "table"), onnx.numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, tmp_path / "teacher.onnx")
    path = other_tools.quantize_4_bits(tmp_path)
    quantized = onnx.load(path)
    assert {node.op_type for node in quantized.graph.node} == {"MatMulNBits", "GatherBlockQuantized"}
    assert path.stat().st_size < (table.nbytes + weight.nbytes) / 4
    ids = np.arange(40, dtype=np.int64).reshape(2, 20)
    expected = table[ids] @ weight
    error = np.linalg.norm(load(path, 1).run({"input_ids": ids}) - expected) / np.linalg.norm(expected)
    assert 0 < error < 0.2
