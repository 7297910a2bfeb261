"""Labels of one's own, by a bundle that judges entailment: as transformers' pipeline, and refused where nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from transformers import BertConfig, BertForSequenceClassification, pipeline

from edgepack.cli import main
from edgepack.errors import InputError
from edgepack.predict import Bundle
from edgepack.predict.bundle import JsonTokenizer
from edgepack.predict.zero_shot import Judged, judged_by
from edgepack.task.task import Task
from tests.bundle.test_manifest import bundle_manifest
from tests.evidence.conftest import bundle as bundle
from tests.evidence.conftest import copy as copy
from tests.evidence.conftest import world as world
from tests.evidence.world import make_tokenizer

LENGTH = 80  # a text keeps more than half of it, so what is cut is the text, as in the pipeline
TEXTS = ["the ball is in the net", "", "a vote , a bill and a law " * 9, "good"]
LABELS = ["sports", "politics", "good food"]


class TorchModel:
    """A session that runs a transformers model."""

    input_names = ("input_ids", "attention_mask", "token_type_ids")

    def __init__(self, model: BertForSequenceClassification) -> None:
        self.model = model

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(self.model(**{n: torch.from_numpy(v) for n, v in inputs.items()}).logits)


def make_bundle(labels: tuple[str, ...]) -> tuple[Bundle, Callable[..., dict[str, list[float]]]]:
    """A bundle of a tiny random model with these labels, and transformers' pipeline of the same model."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    tokenizer.model_max_length, tokenizer.model_input_names = LENGTH, list(TorchModel.input_names)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=LENGTH, id2label=dict(enumerate(labels)), initializer_range=0.8,
        label2id={label: i for i, label in enumerate(labels)},
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    told = {"pair": True, "labels": list(labels), "max_length": LENGTH, "temperature": 3.0}
    manifest = bundle_manifest().model_copy(update=told)
    made = Bundle(Path(), manifest, JsonTokenizer(tokenizer.backend_tokenizer), TorchModel(model))
    tokenizer = make_tokenizer()
    tokenizer.model_max_length, tokenizer.model_input_names = LENGTH, list(TorchModel.input_names)
    return made, pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)


@pytest.mark.parametrize("template", ["This example is {}.", "{} !"])
@pytest.mark.parametrize(
    ("labels", "multi_label"),
    [
        (("contradiction", "neutral", "entailment"), False),
        (("Entailment", "neutral", "Contradiction"), True),
        (("contradiction", "ENTAILMENT", "neutral"), True),
        (("entailment", "not_entailment"), True),
        (("not_entailment", "entailment"), False),
    ],
)
def test_scores_are_those_of_the_pipeline(labels: tuple[str, ...], multi_label: bool, template: str) -> None:
    made, reference = make_bundle(labels)
    for names in (LABELS, LABELS[:1]):
        answers = made.zero_shot(TEXTS, names, template, multi_label)
        for text, answer in zip(TEXTS, answers, strict=True):
            if not text:
                continue  # the pipeline asks for one
            expected = reference(text, names, hypothesis_template=template, multi_label=multi_label)
            given = [answer.probabilities[label] for label in expected["labels"]]
            assert np.allclose(given, expected["scores"], atol=1e-5), (text, names)
            assert (answer.label, answer.probability) == (expected["labels"][0], pytest.approx(expected["scores"][0]))
            assert (answer.pair, answer.cut) == (None, text == TEXTS[2])
        assert answers[1].text == ""
        assert answers[3] == made.zero_shot("good", names, template, multi_label)
        if not multi_label:
            assert sum(answers[0].probabilities.values()) == pytest.approx(1) or len(names) == 1


def test_entailment_is_found_by_name_alone() -> None:
    def task(*labels: str, pair: bool = True, **other: str) -> Task:
        return Task("text-classification", labels, pair, **other)  # type: ignore[arg-type]

    assert judged_by(task("neutral", " Entailment ", "contradiction")) == Judged(1, 2)
    assert judged_by(task("neutral", "entailment", "other")) == Judged(1, None)
    assert judged_by(task("no", "entailment")) == Judged(1, 0)
    for other in (
        task("entailment", "not_entailment", pair=False),
        task("LABEL_0", "LABEL_1", "LABEL_2"),
        task("entailed", "not"),
        task("entailment", "Entailment"),
        task("a", "b", "c", "entailment"),
        task("entailment", "contradiction", problem="multi_label_classification"),
    ):
        with pytest.raises(InputError, match="one of them called entailment; this one is for"):
            judged_by(other)


def test_what_cannot_be_asked_is_refused() -> None:
    made, _ = make_bundle(("a", "neutral", "entailment"))
    assert made.zero_shot("good", LABELS).label in LABELS
    for labels, options, said in (
        ("a,b", {}, "a list of one text or more"),
        ([], {}, "a list of one text or more"),
        ({"a", "b"}, {}, "a list of one text or more"),
        (LABELS, {"hypothesis": None}, "{} is needed once"),
        (["a", " "], {}, "none of them empty"),
        (["a", "a"], {}, "each is needed once"),
        (LABELS, {"hypothesis": "This is it."}, "{} is needed once"),
        (LABELS, {"hypothesis": "{} or {}"}, "{} is needed once"),
        (LABELS, {"hypothesis": "{0} {}"}, "{} is needed once"),
        (LABELS, {"multi_label": True}, "a label called contradiction"),
        (["a"], {}, "a label called contradiction"),
    ):
        with pytest.raises(InputError, match=said):
            made.zero_shot("good", labels, **options)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="it is a single text"):
        made.zero_shot([("a", "b")], LABELS)  # type: ignore[list-item]


def test_the_command(copy: Path) -> None:
    def run(*arguments: str, given: str | None = None) -> tuple[int, str, str]:
        told = CliRunner().invoke(main, ["predict", str(copy), *arguments], input=given)
        return told.exit_code, told.stdout, told.stderr

    code, _, said = run("good", "--labels", "a,b")
    assert (code, "one of them called entailment" in said) == (2, True)
    document = json.loads((copy / "edgepack.json").read_text())
    document |= {"pair": True, "labels": ["not_entailment", "entailment"]}
    (copy / "edgepack.json").write_text(json.dumps(document))
    code, out, _ = run("-", "--labels", "sports, food", "--hypothesis", "{} !", "--json", given="a b\nc\n")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["text"] for row in rows] == ["a b", "c"]
    expected = Bundle.load(copy).zero_shot(["a b", "c"], ["sports", "food"], "{} !")
    assert rows == [json.loads(json.dumps(answer.to_record())) for answer in expected]
    code, out, _ = run("a b", "--labels", "sports", "--multi-label")
    assert code == 0
    assert out.startswith("a b\n  sports ")
    for arguments in (("a", "b", "--multi-label"), ("--data", "x.tsv", "--labels", "a,b", "--hypothesis", "{}")):
        code, _, said = run(*arguments)
        assert code == 2
        assert "go with --labels and texts" in said
