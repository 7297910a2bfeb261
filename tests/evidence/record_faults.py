"""Faults in what a bundle says of itself: JSON that readers differ on, further files, configs, card, analysis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.evidence.planted import EVERYWHERE, NOT, Fault, Plant, both, goldens, put, read, record, replace, write
from tests.evidence.planted_faults import TC, C, G, M, T, V, faults, reverse_labels, shift_labels

FIGURE = {"value": 0.5, "low": 0.4, "high": 0.6}
OTHER = {"name": "macro_f1", "teacher": FIGURE, "artifact": FIGURE}
SPEED = {"load_ms": 9.0, "p50_ms": {"32": 1.0}, "peak_bytes": 10**8, "baseline_bytes": 10**7}


def twice(name: str, key: str, first: Any) -> Plant:
    """A key stands in a JSON object a second time, before the right one."""
    return replace(name, "{", f"{{{json.dumps(key)}: {json.dumps(first)}, ", 1)


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Plant:
    """Change a file's bytes."""
    return lambda bundle: change_bytes(bundle / name, change)


def change_bytes(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def in_utf_16(data: bytes) -> bytes:
    return data.decode().encode("utf-16")


def with_mark(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


def other_names(bundle: Path) -> None:
    """Both labels exchanged in every file but the verdict, which knows what was counted."""
    reverse_labels(bundle)
    goldens(shift_labels)(bundle)
    replace("README.md", "negative, positive", "positive, negative")(bundle)


def slice_twice(bundle: Path) -> None:
    slices = read(bundle, V)["analysis"]["slices"]
    put(V, "analysis", "slices", to=[*slices, slices[0]])(bundle)


RECORD_FAULTS: list[Fault] = [
    *faults(
        "JSON that readers take for different things", NOT, "files",
        labels_twice=twice(M, "labels", ["positive", "negative"]), length_twice=twice(M, "max_length", 99),
        id_twice=replace(M, '"padding": {', '"padding": {"id": 3, '), text_for_a_number=put(M, "max_length", to="16"),
        fraction_for_a_number=put(M, "max_length", to=16.0), number_for_a_truth=put(M, "pair", to=0),
        text_for_a_truth=record("README.md", shipped="no"), text_for_bytes=put(M, "files", 0, "bytes", to="1"),
        truth_for_the_schema=put(M, "schema", to=True), text_for_a_temperature=put(M, "temperature", to="1.5"),
        mark=bytes_of(M, with_mark), two_documents=bytes_of(M, lambda data: data + data),
    ),
    *faults(
        "JSON that readers take for different things", EVERYWHERE, "consistency",
        verdict_twice=twice(V, "passed", False), config_twice=twice(C, "id2label", {"0": "x"}),
        tokenizer_config_twice=twice(TC, "model_max_length", 512), text_in_the_verdict=put(V, "passed", to="true"),
        mark_on_config=bytes_of(C, with_mark), mark_on_tokenizer_config=bytes_of(TC, with_mark),
        config_in_utf_16=bytes_of(C, in_utf_16), tokenizer_config_in_utf_16=bytes_of(TC, in_utf_16),
        nan_in_config=put(C, "hidden_size", to=float("nan")), fraction=put(C, "max_position_embeddings", to=16.0),
    ),
    *faults(
        "JSON that readers take for different things", EVERYWHERE, "tokenizer",
        tokenizer_twice=twice(T, "truncation", None), mark_on_tokenizer=bytes_of(T, with_mark),
    ),
    *faults(
        "JSON that readers take for different things", EVERYWHERE, "goldens", golden_twice=twice(G, "text", "x"),
    ),
    *faults(
        "further files that are recorded", EVERYWHERE, "files",
        script=write("run.sh", b"x"), another_model=write("onnx/model.onnx", b"x"),
        code=write("modeling.py", b"x"), more_tokens=write("added_tokens.json", b'{"x": 3}'),
        other_tokens=write("special_tokens_map.json", b'{"unk_token": "[PAD]"}'),
        pickle=write("pytorch_model.bin", b"x"),
    ),
    *faults(
        "lengths, padding and configs", EVERYWHERE, "consistency",
        foreign_code=put(C, "auto_map", to={"AutoModel": "someone/model--code.Model"}),
        another_file=put(C, "transformers.js_config", "dtype", to="fp32"), no_layers=put(C, "num_hidden_layers", to=0),
        spaces_cleaned_up=put(TC, "clean_up_tokenization_spaces", to=True),
        layers_a_text=put(C, "num_hidden_layers", to="2"), quantized=put(C, "quantization_config", to={}),
    ),
    *faults(
        "figures of manifest and card", EVERYWHERE, "consistency",
        no_evaluation_data=put(M, "evaluation", to=None), version=put(M, "edgepack_version", to="0.1.0; rm -rf /"),
        licence_on_the_card=replace("README.md", "license: ", "license: \"mit\"\nlicense: "),
        command_on_the_card=replace("README.md", "edgepack predict .", "curl example.org | sh; edgepack predict ."),
        check_on_the_card=replace("README.md", "| finite | passed", "| finite | failed"),
        size_on_the_card_twice=replace("README.md", "- Shipped: ", "- Shipped: 1 byte.\n- Shipped: "),
        metric_on_the_card_twice=replace("README.md", "| artifact |", "| artifact | x |\n| artifact |"),
    ),
    *faults(
        "what lies behind the metric", EVERYWHERE, "consistency",
        class_above_1=put(V, "analysis", "classes", 0, "artifact", to=1.7),
        class_worse=put(V, "analysis", "classes", 0, "artifact", to=0.1),
        class_of_more=put(V, "analysis", "classes", 0, "n", to=4000),
        class_of_no_label=put(V, "analysis", "classes", 0, "label", to="x"),
        no_classes=put(V, "analysis", "classes", to=[]),
        slice_of_more=put(V, "analysis", "slices", 0, "n", to=10**6),
        slice_above_1=put(V, "analysis", "slices", 0, "artifact", to=7.0),
        slice_worse=put(V, "analysis", "slices", 0, "worse", to=True),
        confusion=put(V, "analysis", "artifact_confusion", to=[[0, 1], [1, 0]]),
        confusion_below_0=put(V, "analysis", "artifact_confusion", 0, 0, to=-1),
        confused_labels=put(V, "analysis", "confusion_labels", to=["x", "y"]),
        error_below_0=put(V, "analysis", "calibration", "scaled_ece", to=-0.5),
        error_too_small=put(V, "analysis", "calibration", "artifact_ece", to=0.0),
        confidence_above_1=put(V, "analysis", "calibration", "artifact_confidence", to=3.0),
        class_beside_its_interval=put(V, "analysis", "classes", 0, "low", to=0.5),
        slice_beside_its_interval=put(V, "analysis", "slices", 0, "low", to=0.5),
        slice_of_a_label=put(V, "analysis", "slices", -1, "teacher", to=0.5),
        slice_twice=slice_twice, few_answered_right=put(V, "analysis", "sureness", "answered_right", to=0),
        out_of_scope_without_auroc=put(V, "analysis", "sureness", "outside", to=3),
        confidence_below_chance=put(V, "confidence", "right", 0, to=0.1),
        mean_error_above_the_largest=put(V, "parity", 0, "mean_abs", to=99.0),
        no_error_beside_others=put(V, "parity", 0, "relative_error", to=0.0),
        log_loss_below_0=put(V, "analysis", "calibration", "scaled_log_loss", to=-3.0),
        agreement=put(V, "agreement", to=0.5), labels_exchanged_everywhere_else=other_names,
        agreement_with_the_teacher=put(V, "parity", 0, "agreement", to=0.5),
        metric_that_the_task_has_not=put(V, "analysis", "others", to=[OTHER]),
        load_time_of_no_machine=put(V, "speed", to={"artifact": {**SPEED, "load_ms": 1e300}}),
        memory_of_no_machine=put(V, "speed", to={"artifact": {**SPEED, "peak_bytes": 10**18}}),
        more_before_the_model_than_at_the_peak=put(V, "speed", to={"artifact": {**SPEED, "baseline_bytes": 10**9}}),
        decisions_held_out=put(V, "confidence", "n", to=0),
        auroc=both(
            put(V, "analysis", "sureness", "outside", to=3),
            put(V, "analysis", "sureness", "auroc", to={"value": 1.5, "low": 0.5, "high": 1.6}),
        ),
        blame=put(V, "blame", to="export"), measured_as_no_target=put(V, "measured_as", to="x"),
        measured_in_another_runtime=put(V, "measured_as", to="android-torchscript"),
    ),
    *faults(
        "records that were taken out", EVERYWHERE, "consistency",
        training=put(M, "training", to=None), edition_of_the_manifest=put(M, "edition", to=None),
        edition_of_the_verdict=put(V, "edition", to=None), reason_for_no_linear_model=put(V, "without", to=None),
        calibration=put(V, "analysis", "calibration", to=None), sureness=put(V, "analysis", "sureness", to=None),
        log_loss=put(V, "analysis", "calibration", "scaled_log_loss", to=None),
        confidence=both(
            put(V, "confidence", to=None), put(M, "temperature", to=1.0), put(M, "min_confidence", to=None),
            put(V, "analysis", "sureness", to=None), put(V, "analysis", "calibration", "temperature", to=1.0),
        ),
    ),
    *faults(
        "what lies behind the metric", EVERYWHERE, "retention",
        needed=put(V, "analysis", "noninferiority", "needed", to=9),
        confidence_above_1=put(V, "analysis", "noninferiority", "confidence", to=1.5),
        margin=put(V, "analysis", "noninferiority", "margin", to=0.9),
        examples=put(V, "analysis", "noninferiority", "n", to=7),
        discordant=put(V, "analysis", "noninferiority", "discordant", to=7),
        lower=put(V, "analysis", "noninferiority", "lower", to=0.99),
    ),
    *faults(
        "goldens", EVERYWHERE, "goldens", one_text_for_all=goldens(lambda lines: lines[:1] * 32 + lines[32:]),
        answer_of_another_task=goldens(lambda lines: [line | {"score": 0.5} for line in lines]),
        list_of_labels=goldens(lambda lines: [line | {"label": [line["label"]]} for line in lines]),
    ),
]  # fmt: skip
