"""The faults themselves. Models are changed by what their graph's inputs, output and constants are called."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.evidence.planted import (
    EVERYWHERE,
    MANIFEST,
    NOT,
    Fault,
    Plant,
    added,
    both,
    check,
    each_golden,
    goldens,
    linked,
    model,
    new_goldens,
    put,
    read,
    record,
    remove,
    renamed,
    replace,
    write,
)
from tests.evidence.world import MAX_LENGTH, TARGET

M, V, INF = "edgepack.json", "verdict.json", float("inf")
C, TC, T, G = "config.json", "tokenizer_config.json", "tokenizer.json", "golden.jsonl"
BACKWARDS = {"load_ms": 1, "p50_ms": {"32": -1}, "peak_bytes": 1, "baseline_bytes": 1}
AT_ONCE = {**BACKWARDS, "p50_ms": {"32": 1}, "first_ms": 0}
TO_LEFT = {"strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0}


def reroute(old: str, *nodes: onnx.NodeProto) -> Plant:
    """Whatever reads `old` reads `new`, which these nodes compute first."""

    def change(loaded: onnx.ModelProto) -> None:
        for node in loaded.graph.node:
            for i, name in enumerate(node.input):
                node.input[i] = "new" if name == old else name
        rest = list(loaded.graph.node)
        del loaded.graph.node[:]
        loaded.graph.node.extend([*nodes, *rest])

    return model(change)


def on_logits(*nodes: onnx.NodeProto, constants: dict[str, np.ndarray] | None = None) -> Plant:
    """Put nodes behind the last one: they read `old` and write `logits`."""

    def change(loaded: onnx.ModelProto) -> None:
        for node in loaded.graph.node:
            for i, name in enumerate(node.output):
                node.output[i] = "old" if name == "logits" else name
        loaded.graph.node.extend(nodes)
        for name, array in (constants or {}).items():
            loaded.graph.initializer.append(numpy_helper.from_array(array, name))

    return model(change)


def scaled(factor: float) -> Plant:
    """The logits times a factor."""
    by = np.array(factor, np.float32)
    return on_logits(helper.make_node("Mul", ["old", "by"], ["logits"]), constants={"by": by})


def constants(kind: type[np.generic], change: Any) -> Plant:
    """Change the largest constant of a type."""

    def plant(loaded: onnx.ModelProto) -> None:
        found = [i for i in loaded.graph.initializer if numpy_helper.to_array(i).dtype == kind]
        largest = max(found, key=lambda i: len(i.raw_data))
        array = numpy_helper.to_array(largest).copy()
        largest.CopyFrom(numpy_helper.from_array(change(array), largest.name))

    return model(plant)


def one_nan(array: np.ndarray) -> np.ndarray:
    array.flat[array.size // 2] = np.nan
    return array


def nan_for(token: int) -> Plant:
    """NaN wherever this token stands, which no constant shows: the square root of a negative number."""
    nodes = [
        helper.make_node("Equal", ["input_ids", "rare"], ["is_rare"]),
        helper.make_node("Cast", ["is_rare"], ["as_number"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["as_number"], ["any"], keepdims=0),
        helper.make_node("Neg", ["any"], ["negative"]),
        helper.make_node("Sqrt", ["negative"], ["root"]),
        helper.make_node("Add", ["old", "root"], ["logits"]),
    ]
    return on_logits(*nodes, constants={"rare": np.array(token)})


def face(change: Any) -> Plant:
    """Change the graph's declarations."""
    return model(lambda loaded: change(loaded.graph))


def bytes_added(data: bytes) -> Plant:
    """More bytes at the end of the model file."""
    return lambda bundle: (bundle / TARGET.file).write_bytes((bundle / TARGET.file).read_bytes() + data)


def more_input(graph: onnx.GraphProto) -> None:
    graph.input.append(helper.make_tensor_value_info("more", onnx.TensorProto.INT64, ["batch", "seq"]))


def frozen(graph: onnx.GraphProto) -> None:
    for value in graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1


def swap_rare_tokens(bundle: Path) -> None:
    """Two tokens that no golden has change ids in tokenizer.json alone."""
    document = read(bundle, T)
    seen = {i for line in (bundle / "golden.jsonl").read_text().splitlines() for i in json.loads(line)["input_ids"]}
    rare = [token for token, index in document["model"]["vocab"].items() if index not in seen][:2]
    one, other = (document["model"]["vocab"][token] for token in rare)
    document["model"]["vocab"].update({rare[0]: other, rare[1]: one})
    (bundle / T).write_text(json.dumps(document))


def shift_labels(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        line["label"] = {"negative": "positive", "positive": "negative"}[line["label"]]


def reverse_labels(bundle: Path) -> None:
    """In the manifest and in config.json: the goldens alone still know the order."""
    names = ["positive", "negative"]
    put(M, "labels", to=names)(bundle)
    put(C, "id2label", to=dict(zip("01", names, strict=True)))(bundle)
    put(C, "label2id", to={name: i for i, name in enumerate(names)})(bundle)


def pipe(bundle: Path) -> None:
    (bundle / "README.md").unlink()
    os.mkfifo(bundle / "README.md")


def repeated(name: str, /, **values: Any) -> Plant:
    """A second check of a name."""

    def plant(bundle: Path) -> None:
        verdict = read(bundle, V)
        first = next(entry for entry in verdict["checks"] if entry["name"] == name)
        put(V, "checks", to=[*verdict["checks"], {**first, **values}])(bundle)

    return plant


def faults(kind: str, mend: str, caught_by: str, **plants: Plant) -> list[Fault]:
    """Faults of one kind that are mended the same way and caught by one check."""
    return [Fault(kind, name.replace("_", " "), plant, mend, caught_by) for name, plant in plants.items()]


FAULTS: list[Fault] = [
    *faults(
        "other, missing or further files", NOT, "files",
        other_bytes=replace("README.md", "a", "b"), missing=remove(C), empty=write(V, b""),
        not_recorded=write("onnx/other.onnx", b"x"), hidden=write(".hidden", b"x"), a_pipe=pipe,
        manifest_cut=write(M, b'{"schema": 1'), manifest_empty=write(M, b""), manifest_deep=write(M, b"[" * 100_000),
        target_unknown=put(M, "target", to="../../etc/passwd"), schema_2=put(M, "schema", to=2),
    ),
    *faults(
        "links", NOT, "files",
        file=linked("tokenizer.bin"), folder=linked("onnx"), verdict=linked(V), manifest=linked(M),
        to_a_folder=lambda bundle: (bundle / "more").symlink_to("/usr/share"),
    ),
    *faults(
        "file names", NOT, "files",
        upwards=added("../x", create=False), absolute=added("/etc/hostname", create=False),
        of_windows=added("..\\x"), two_lines=added("a\nPASSED"), empty=added("", create=False),
        very_long=added("a" * 5000, create=False), nul=added("a\0b", create=False), ends_in_a_dot=added("a."),
        look_alike=renamed("tokenizer.bin", "t\u043ekenizer.bin"), capitals=added("Readme.MD"),
        folder_by_capitals=added("ONNX/x"), twice=added("README.md", create=False), itself=added(M, create=False),
    ),
    *faults(
        "files that a bundle needs", MANIFEST, "files",
        asset=remove("tokenizer.bin"), config=remove(C), tokenizer_config=remove(TC),
        tokenizer=remove(T), card=remove("README.md"), goldens=remove("golden.jsonl"), verdict=remove(V),
        model=remove(TARGET.file),
    ),
    *faults(
        "what ships", NOT, "files",
        model_does_not=record(TARGET.file, shipped=False), asset_does_not=record("tokenizer.bin", shipped=False),
        card_does=record("README.md", shipped=True),
    ),
    *faults(
        "what ships", NOT, "size",
        fewer_bytes=put(M, "shipped_bytes", to=1), budget_below=put(M, "budget_bytes", to=100),
    ),
    *faults(
        "exchanged after the validation", MANIFEST, "evidence",
        logits_a_little_larger=scaled(1.04), broken_model_with_its_own_goldens=both(scaled(-1.0), new_goldens),
        goldens_a_little_larger=goldens(
            lambda lines: [line | {"logits": [1.02 * value for value in line["logits"]]} for line in lines]
        ),
        card=replace("README.md", "## Limits", "## No limits"), verdict_of_an_older_edgepack=put(V, "judged", to={}),
        no_hash_of_the_model=put(V, "judged", to={"README.md": "0" * 64}),
    ),
    *faults(
        "labels", EVERYWHERE, "consistency",
        reversed_in_the_manifest=put(M, "labels", to=["positive", "negative"]), none=put(M, "labels", to=[]),
        twice=put(M, "labels", to=["positive", "positive"]), look_alike=put(M, "labels", 0, to="n\u0435gative"),
        reversed_in_the_config=put(C, "id2label", to={"0": "positive", "1": "negative"}),
    ),
    *faults("labels", EVERYWHERE, "artifact", one_more=put(M, "labels", to=["negative", "positive", "x"])),
    *faults("labels", EVERYWHERE, "goldens", reversed_everywhere=reverse_labels),
    *faults(
        "lengths, padding and configs", EVERYWHERE, "consistency",
        length=put(M, "max_length", to=MAX_LENGTH - 1), padding_id=put(M, "padding", "id", to=7),
        padding_token=put(M, "padding", "token", to="<pad>"), no_json=write(C, b"{"),
        list_in_place_of_config=write(C, b"[]"), positions=put(C, "max_position_embeddings", to=512),
        vocabulary=put(C, "vocab_size", to=3), architecture=put(C, "architectures", to=["X"]),
        tokenizer_length=put(TC, "model_max_length", to=512),
        tokenizer_padding=put(TC, "pad_token", to="[UNK]"),
        key_that_keeps_capitals=put(TC, "do_lower_case", to=False),
        no_such_class=put(TC, "tokenizer_class", to="T5Tokenizer"),
        model_type=put(C, "model_type", to="gpt2"),
        no_such_token=put(TC, "cls_token", to="[XXX]"),
    ),
    *faults(
        "lengths, padding and configs", NOT, "files",
        length_0=put(M, "max_length", to=0), length_below_0=put(M, "max_length", to=-5),
        length_without_end=put(M, "max_length", to=10**30),
    ),
    *faults(
        "inputs, outputs, runtime", NOT, "artifact",
        no_mask=put(M, "inputs", to=[{"name": "input_ids", "dtype": "int64", "shape": ["batch", "seq"]}]),
        another_type=put(M, "inputs", 0, "dtype", to="int32"), fixed_shape=put(M, "inputs", 0, "shape", to=[1, 16]),
        renamed=put(M, "inputs", 1, "name", to="mask"), no_output=put(M, "outputs", to=[]),
        output_by_token=put(M, "outputs", 0, "shape", to=["batch", "seq", 2]),
        old_opset=put(M, "runtime", "opset", to=11),
        new_opset=put(M, "runtime", "opset", to=99), no_opset=put(M, "runtime", "opset", to=None),
        old_ir=put(M, "runtime", "ir_version", to=3), no_operators=put(M, "runtime", "operators", to=[]),
        operator_of_no_target=put(M, "runtime", "operators", 0, to="Loop"),
        older_runtime=put(M, "runtime", "min_version", to="1.0"),
        another_runtime=put(M, "runtime", "name", to="litert"),
        per_token_task=put(M, "task", to="token-classification"),
    ),
    *faults(
        "inputs, outputs, runtime", EVERYWHERE, "artifact",
        one_input_more=face(more_input), one_text_only=face(frozen),
        double_output=both(
            on_logits(helper.make_node("Cast", ["old"], ["logits"], to=onnx.TensorProto.DOUBLE)),
            face(lambda graph: setattr(graph.output[0].type.tensor_type, "elem_type", onnx.TensorProto.DOUBLE)),
        ),
        renamed_output=both(
            model(lambda m: m.graph.node.append(helper.make_node("Identity", ["logits"], ["out"]))),
            face(lambda graph: setattr(graph.output[0], "name", "out")),
        ),
        newer_opset=model(lambda m: setattr(m.opset_import[0], "version", 21)),
        newer_ir=model(lambda m: setattr(m, "ir_version", 99)), no_model=write(TARGET.file, b""),
        pointer_in_place_of_the_model=write(TARGET.file, b"version https://git-lfs.github.com/spec/v1\n"),
        external_weights=model(lambda m: setattr(m.graph.initializer[0], "data_location", 1)),
    ),
    *faults(
        "target and teacher", NOT, "consistency",
        another_target=put(M, "target", to="ios-onnx"), another_teacher=put(M, "teacher", "name", to="bert-large"),
        licence=put(M, "teacher", "licence", to="mit"),
        no_version=put(M, "edgepack_version", to="x"),
        no_sha256=put(M, "teacher", "sha256", to="xyz"), no_time=put(M, "created", to="yesterday"),
    ),
    *faults(
        "figures of manifest and card", NOT, "consistency",
        artifact=put(M, "metrics", "artifact", "value", to=0.5), none=put(M, "metrics", to={}),
        teacher=put(M, "metrics", "teacher", "value", to=0.3),
        nan=put(M, "metrics", "artifact", "value", to=float("nan")),
        interval=put(M, "metrics", "artifact", "low", to=1.5),
        infinite=put(M, "metrics", "artifact", "value", to=-INF), temperature=put(M, "temperature", to=7.5),
        tags_of_texts=put(M, "tag_scheme", to="BIO"), least_confidence=put(M, "min_confidence", to=0.001),
        no_least_confidence=put(M, "min_confidence", to=None),
    ),
    *faults(
        "figures of manifest and card", NOT, "files", least_confidence_of_0=put(M, "min_confidence", to=0.0),
        temperature_of_0=put(M, "temperature", to=0.0),
    ),
    *faults(
        "figures of manifest and card", EVERYWHERE, "consistency",
        size_on_the_card=replace("README.md", "Shipped: ", "Shipped: 1"),
        empty_card=write("README.md", b"# nothing\n"),
        metric_on_the_card=replace("README.md", "| artifact | accuracy | 1.0000", "| artifact | accuracy | 0.9000"),
    ),
    *faults(
        "figures of the verdict", EVERYWHERE, "consistency",
        not_passed=put(V, "passed", to=False), size_failed=check("size", status="failed"),
        goldens_failed=check("goldens", status="failed"), passed_below_its_limit=check("retention", value=0.5),
        limit_below_0=check("retention", limit=-1.0), passed_without_figures=check("parity", value=None, limit=None),
        no_retention=put(V, "retention", to=None), retention_of_nothing=put(V, "retention", "value", to=0.99),
        infinite_retention=put(V, "retention", "value", to=INF), interval=put(V, "retention", "low", to=2.0),
        agreement=put(V, "agreement", to=INF), divergence=put(V, "divergence", to=-1.0),
        parity_bad_but_passed=put(V, "parity", 2, "relative_error", to=3.0), no_parity=put(V, "parity", to=[]),
        parity_metric=put(V, "parity", 2, "metric", to=0.5), parity_negative=put(V, "parity", 0, "max_abs", to=-1.0),
        check_twice=repeated("retention", status="failed", value=0.1), unknown_check=check("finite", name="finita"),
        another_target=put(V, "target", to="ios-coreml"), another_budget=put(V, "budget_bytes", to=10**9),
        other_metrics=put(V, "metrics", "artifact", "value", to=0.2),
        least_confidence=both(
            put(V, "confidence", "min_confidence", to=0.001), put(M, "min_confidence", to=0.001)
        ),
        answer_rate=put(V, "confidence", "answer_rate", to=0.5),
        confidences_held_out=put(V, "confidence", "right", to=[0.9, 0.1]),
        temperature_everywhere_but_in_the_calibration=both(
            put(V, "confidence", "temperature", to=2.0), put(M, "temperature", to=2.0)
        ),
        more_answered_than_there_are=put(V, "analysis", "sureness", "answered", to=10**6),
        no_examples=put(V, "metrics", "artifact", "n", to=0),
        negative_latency=put(V, "speed", to={"artifact": BACKWARDS}),
        no_time_for_the_first=put(V, "speed", to={"artifact": AT_ONCE}),
        fewer_than_no_faults=check("finite", value=-1.0),
        a_limit_of_faults=check("finite", value=3.0, limit=9.0),
        unknown_blame=put(V, "blame", to="weather"), no_json=write(V, b"{"),
    ),
    *faults(
        "goldens", EVERYWHERE, "goldens",
        none=write("golden.jsonl", b""), one=goldens(lambda lines: lines[:1]), half=goldens(lambda lines: lines[:40]),
        too_many=goldens(lambda lines: lines * 20),
        hard_ones_only=goldens(lambda lines: lines[32:]), other_labels=goldens(shift_labels),
        nan=each_golden(logits=[float("nan")] * 2), infinite=each_golden(logits=[INF, 0.0]),
        larger=goldens(lambda lines: [line | {"logits": [1.08 * value for value in line["logits"]]} for line in lines]),
        no_ids=each_golden(input_ids=None), no_text=each_golden(text=None), text_a_number=each_golden(text=5),
        words_for_logits=each_golden(logits=["a", "b"]), ragged=each_golden(logits=[[1.0], [1.0, 2.0]]),
        three_logits=each_golden(logits=[1.0, 2.0, 3.0]), half_a_pair_of_code_units=each_golden(text="\ud800"),
        ids_out_of_range=each_golden(input_ids=[2, 10**6, 3]), ids_without_end=each_golden(input_ids=[10**30]),
        hidden_tokens=each_golden(attention_mask=[0, 0]), pairs=each_golden(pair="x"),
        no_utf8=write("golden.jsonl", b"\xff{}\n"), line_cut=replace("golden.jsonl", '"text":', '"te'),
    ),
    *faults(
        "tokenizer", EVERYWHERE, "tokenizer",
        rare_tokens=swap_rare_tokens, padding=put(T, "padding", to={**TO_LEFT, "pad_token": "[PAD]"}),
        unknown_token=put(T, "model", "unk_token", to="[MASK]"), asset_cut=write("tokenizer.bin", b"EPTK\1"),
        longer_words=put(T, "model", "max_input_chars_per_word", to=200),
        accents_kept=put(T, "normalizer", "strip_accents", to=False), no_json=write(T, b"{"),
        cannot_be_an_asset=put(T, "normalizer", to={"type": "Lowercase"}),
    ),
    *faults(
        "attention mask", EVERYWHERE, "batches",
        ignored=reroute(
            "attention_mask",
            helper.make_node("Equal", ["attention_mask", "attention_mask"], ["same"]),
            helper.make_node("Cast", ["same"], ["new"], to=onnx.TensorProto.INT64),
        ),
        taken_from_the_ids=reroute(
            "attention_mask",
            helper.make_node("Sign", ["input_ids"], ["new"]),
        ),
    ),
    *faults(
        "numbers that are none", EVERYWHERE, "artifact",
        nan_among_the_weights=constants(np.float32, one_nan),
    ),
    *faults(
        "lengths, padding and configs", EVERYWHERE, "vocabulary",
        more_ids_than_the_table=put(C, "vocab_size", to=10**6),
    ),
    *faults("numbers that are none", EVERYWHERE, "vocabulary", nan_for_one_token=nan_for(105)),
    *faults(
        "another model", EVERYWHERE, "goldens",
        scaled=scaled(1.5), a_little_larger=scaled(1.08), constant=scaled(0.0),
        probabilities=on_logits(helper.make_node("Softmax", ["old"], ["logits"], axis=-1)),
        largest_matrix_zero=constants(np.int8, np.zeros_like),
        one_number_for_all=both(
            on_logits(helper.make_node("ReduceMax", ["old"], ["logits"], keepdims=0)),
            face(lambda graph: graph.output[0].type.tensor_type.ClearField("shape")),
        ),
    ),
]  # fmt: skip
