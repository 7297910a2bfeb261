"""The report's page and Markdown, from records of every kind: whole ones, old ones, hostile ones."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgepack.bundle.analysis import Analysis, Differing
from edgepack.bundle.manifest import artifact_sha256, load_manifest
from edgepack.bundle.verdict import Check
from edgepack.errors import InputError
from edgepack.report import write_report
from edgepack.report.answers import example
from tests.report.made import HOSTILE, analysis, plan, verdict, write_build

TARGETS = ("android-onnx", "android-torchscript")
VOID = {"meta", "link", "br", "hr", "img", "input", "line", "rect", "circle", "path"}


class Page(HTMLParser):
    """The elements of a page, their texts, and whether they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def reported(folder: Path) -> tuple[str, Page]:
    """The Markdown and the page of the build in `folder`."""
    markdown, html = (path.read_text(encoding="utf-8") for path in write_report(folder))
    return markdown, Page(html)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page, str]:
    """Of a build with everything in it: Markdown, page, the page's own text."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    write_build(folder, [verdict(target, analysis=analysis()) for target in TARGETS], missing={"ios-coreml": HOSTILE})
    return (*reported(folder), (folder / "report.html").read_text(encoding="utf-8"))


def test_the_first_screen_has_figures_with_their_units(whole: tuple[str, Page, str]) -> None:
    _, page, _ = whole
    assert "2 of 3 targets passed" in page.text
    assert "3.88 MB of 4 MB, 125 kB left" in page.text
    assert "An app grows by 3.9 MB of model and tokenizer and by the runtime" in page.text
    assert "99 % 95 % interval 97 to 101 %" in page.text
    assert "Limit 98 %: the whole interval is above" in page.text
    assert "11 × smaller" in page.text
    assert "8 × as fast" in page.text
    assert "speed, 32 tokens" in page.text
    assert "e+0" not in page.text.split("What this page was made from")[0]  # the records are as they are


@pytest.mark.parametrize(
    "words",
    [
        "Classes",
        "Slices",
        "Changed texts",
        "Confidence",
        "Confusion, 3 labels",
        "Examples that differ most",
        "3 more",
        "word embeddings",
        "Accuracy by form",
        "Training loss by step",
        "distil, 500 steps",
        "Stages one after another",
        "Candidates on android-onnx",
        "this build, measured",
        "Median latency at 32 tokens",
        "Build: edgepack.json",
    ],
)
def test_every_section_is_there(whole: tuple[str, Page, str], words: str) -> None:
    assert words in whole[1].text


def test_what_files_hold_is_text(whole: tuple[str, Page, str]) -> None:
    markdown, page, html = whole
    assert not page.named("script")
    assert "<script" not in html
    assert "\x00" not in html
    assert "alert('&')" in page.text  # shown, not run
    assert "<script" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| ios-coreml")]
    assert len(rows) == 1
    assert len(re.split(r"(?<!\\)\|", rows[0])) == 4  # two cells between three bars


def test_the_page_loads_nothing(whole: tuple[str, Page, str]) -> None:
    _, page, html = whole
    assert "://" not in html
    assert not page.named("link")
    assert not page.named("img")
    assert all(not attributes.keys() & {"src", "xlink:href"} for _, attributes in page.elements)
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in page.elements)
    policy = next(a["content"] for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_pictures_have_names_and_ids_are_single(whole: tuple[str, Page, str]) -> None:
    _, page, _ = whole
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    pictures = [a for a in page.named("svg") if a.get("role") == "img"]
    assert len(pictures) > 10
    for attributes in [a for _, a in page.elements if a.get("aria-labelledby")]:
        assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)
    outer = [a for a in page.named("svg") if "role" not in a]
    assert all(a.get("aria-hidden") == "true" or "overflow" in a for a in outer)  # the rest is inside of a picture
    for cell in page.named("th"):
        assert cell.get("scope") in ("row", "col")
    assert {attributes["href"] for attributes in page.named("a")} <= {f"#{each}" for each in ids}


def test_headings_follow_each_other(whole: tuple[str, Page, str]) -> None:
    levels = [int(tag[1]) for tag, _ in whole[1].elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_a_verdict_without_analysis_has_a_sentence(tmp_path: Path) -> None:
    _, page = reported(write_build(tmp_path / "out", [verdict("android-onnx")]))
    assert "android-onnx: the verdict holds no analysis" in page.text
    assert "Classes" not in page.text
    assert "95 % interval 98.1 to 100 %" in page.text  # of the verdict itself
    _, page = reported(write_build(tmp_path / "empty", [verdict("android-onnx", analysis=Analysis())]))
    assert "None is recorded." in page.text


@pytest.mark.parametrize("status", ["failed", "undecided", "not_run"])
def test_what_did_not_pass_comes_first(tmp_path: Path, status: str) -> None:
    check = Check(name="retention", status=status, value=0.96, limit=0.98, reason=f"because {HOSTILE}")
    failed = verdict("android-onnx", passed=False, checks=[check], analysis=analysis(decision="undecided"))
    markdown, page = reported(write_build(tmp_path / "out", [failed, verdict("android-torchscript")]))
    words = status.replace("_", " ")
    assert "1 of 2 targets passed" in page.text
    assert f"retention, {words}: because" in page.text
    assert page.text.index(f"retention, {words}") < page.text.index("Shipped bytes")
    assert "about 2,400 examples could decide" in page.text
    assert "### What did not pass" in markdown
    assert f"- **android-onnx**, retention, {words}: because" in markdown
    assert "<script" not in markdown


def test_too_many_bytes_are_counted(tmp_path: Path) -> None:
    over = verdict("android-onnx", shipped_bytes=4_000_001, passed=False)
    _, page = reported(write_build(tmp_path / "out", [over]))
    assert "4 MB of 4 MB, 1 byte too many" in page.text
    assert any("over" in (a.get("class") or "") for a in page.named("rect"))


def test_a_build_of_little(tmp_path: Path) -> None:
    bare = verdict("ios-coreml", metrics={}, retention=None, agreement=None, divergence=None, parity=[], speed={})
    folder = write_build(tmp_path / "out", [bare], plan={"layers": 2}, stages=[{"name": "plan"}, {"odd": 1}], inputs={})
    markdown, page = reported(folder)
    for words in ("not measured", "not recorded", "no plan that this version reads", "No losses are here", "no times"):
        assert words in page.text
    assert "not measured" in markdown
    nothing = write_build(tmp_path / "none", [], missing={"ios-coreml": "install it"})
    assert "0 of 1 target passed" in reported(nothing)[1].text


ODD = (math.nan, 1e300, 10**400, -1)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd}"[:8])
@pytest.mark.parametrize("file", ["edgepack.json", "bundles/a/edgepack.json", "bundles/a/verdict.json"])
def test_figures_that_cannot_be(tmp_path: Path, file: str, odd: float) -> None:
    """Every number of a record, one after another: a page comes out, or one line says what is wrong."""
    folder = write_build(tmp_path / "out", [verdict("a", analysis=analysis())])
    record = json.loads((folder / file).read_text())
    for place, key in numbers(record):
        before = place[key]
        place[key] = odd
        (folder / file).write_text(json.dumps(record))  # Python's JSON has NaN
        with suppress(InputError):
            reported(folder)
        place[key] = before


def numbers(value: Any) -> list[tuple[Any, Any]]:
    """Where a JSON value holds numbers: the list or dict, and the index or key; of equal siblings the first."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    mine = [(value, key) for key, inner in items if isinstance(inner, int | float) and not isinstance(inner, bool)]
    deeper = items[:1] if isinstance(value, list) else items
    return [*(mine[:1] if isinstance(value, list) else mine), *(each for _, inner in deeper for each in numbers(inner))]


def test_a_damaged_workspace_draws_no_curve(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "out", [verdict("android-onnx")])
    losses = next((folder / ".edgepack").rglob("progress.json"))
    for content in (b"{", b"[]", b'{"losses": 3}', b'{"losses": ["x", null]}', b"\xff"):
        losses.write_bytes(content)
        assert "No losses are here" in reported(folder)[1].text
    elsewhere = write_build(tmp_path / "b", [verdict("a")], stages=[{"name": "../../../x", "key": "k", "seconds": 1.0}])
    assert "No losses are here" in reported(elsewhere)[1].text


def test_many_labels_show_the_pairs(tmp_path: Path) -> None:
    labels = [f"label {i}" for i in range(40)]
    _, page = reported(write_build(tmp_path / "out", [verdict("android-onnx", analysis=analysis(labels))]))
    assert "Labels confused most" in page.text
    assert "F1 of the 12 classes with the largest losses" in page.text
    wrong = analysis().model_copy(update={"teacher_confusion": [[1]]})  # counts that do not fit the labels
    _, page = reported(write_build(tmp_path / "wrong", [verdict("android-onnx", analysis=wrong)]))
    assert "Confusion" not in page.text


def test_tags_are_shown_where_they_differ(tmp_path: Path) -> None:
    tags = Differing(
        text="fly to New York now", truth="O O B-city I-city O", teacher="O O B-city O O", artifact="O O O O O",
        divergence=1.0,
    )  # fmt: skip
    shown = example(tags, tags=True)
    assert (shown.truth, shown.teacher, shown.artifact) == (
        "New B-city, York I-city",
        "New B-city, York O",
        "New O, York O",
    )
    assert example(tags, tags=False).truth == tags.truth
    cut_off = tags.model_copy(update={"artifact": "O O"})
    assert example(cut_off, tags=True).truth == tags.truth


def test_a_bundle_outside_is_refused(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "out", [], artifacts=[{"target": "x", "bundle": "../elsewhere"}])
    with pytest.raises(InputError, match="outside the build"):
        write_report(folder)


def test_the_markdown_is_short_and_the_same_each_time(whole: tuple[str, Page, str], tmp_path: Path) -> None:
    markdown, _, _ = whole
    before_details = markdown.split("<details>")[0].strip().splitlines()
    assert len(before_details) < 24
    grown = [line.split(":")[0] for line in before_details if ": An app grows by 3.9 MB of model and" in line]
    assert grown == [f"- {target}" for target in TARGETS]
    assert markdown.count("<details>") == markdown.count("</details>") == 3
    assert "| size | passed | 3,875,190 bytes are shipped; at most 4,000,000 are allowed |" in markdown
    folder = write_build(tmp_path / "out", [verdict("android-onnx", analysis=analysis())])
    first = [path.read_bytes() for path in write_report(folder)]
    assert [path.read_bytes() for path in write_report(folder)] == first


def test_the_linear_model_stands_beside_teacher_and_artifact(tmp_path: Path) -> None:
    markdown, page = write_report(write_build(tmp_path, [verdict("android-onnx")]))
    said = "A linear model of 600.0 kB reaches accuracy 0.9250, more than the artifact's 0.9200"
    assert said in markdown.read_text()
    text = Page(page.read_text()).text
    assert said in text
    assert "linear model of 600 kB, to compare with" in text


def test_a_limit_of_time_is_held_against_what_was_measured(tmp_path: Path) -> None:
    measured = verdict("android-onnx")
    tokens, ms = next(iter(measured.speed["artifact"].p50_ms.items()))
    for limit, said in ((2 * ms, "reached"), (ms / 2, "not reached")):
        asked = plan(["android-onnx"])
        asked |= {"max_latency": {"ms": limit, "tokens": tokens}, "times": {"tokens": tokens, "source": "profile"}}
        for each in asked["candidates"]:
            each |= {"estimated_ms": 1.25, "estimated_memory_bytes": 12_000_000}
        folder = write_build(tmp_path / said, [measured, verdict("ios-coreml", speed={})], plan=asked)
        text = Page(write_report(folder)[1].read_text()).text
        assert f"android-onnx: max latency {limit:g} ms at {tokens} tokens {said}: {ms:.3g} ms measured here" in text
        assert "ios-coreml: max latency" in text
        assert "not measured here" in text
        assert f"time, {tokens} tokens" in text
        assert "1.25 ms" in text
        assert "12 MB" in text


def test_a_build_of_tagging_says_that_it_has_no_linear_model(tmp_path: Path) -> None:
    reason = {"reason": "none for token classification"}
    markdown, page = write_report(write_build(tmp_path, [verdict("android-onnx", linear=None)], linear=reason))
    assert "cheap baseline: None for token classification." in markdown.read_text()
    assert "None for token classification." in Page(page.read_text()).text


def test_a_build_of_an_older_version_says_nothing_of_a_linear_model(tmp_path: Path) -> None:
    markdown, page = write_report(write_build(tmp_path, [verdict("android-onnx", linear=None)]))
    assert "cheap baseline" not in markdown.read_text() + page.read_text()


def test_figures_of_devices_are_shown_and_those_of_others_refused(tmp_path: Path) -> None:
    folder = write_build(tmp_path / "out", [verdict("android-onnx")])
    known = {
        "device": HOSTILE, "os": "Android 16", "runtime": "onnxruntime 1.27.0", "load_ms": 41.0, "first_ms": 9.5,
        "artifact_sha256": artifact_sha256(load_manifest(folder / "bundles/android-onnx")), "p50_ms": {"32": 3.4},
        "p95_ms": {"32": 4.4}, "peak_bytes": 61_000_000, "thermal": "nominal", "goldens": 87, "goldens_passed": 87,
    }  # fmt: skip
    path = tmp_path / "phone.json"
    path.write_text(json.dumps(known))
    markdown, html = (each.read_text() for each in write_report(folder, [path]))
    page = Page(html)
    assert HOSTILE.split("\x00")[0] in page.text
    for said in ("On devices", "latency, 32 tokens 3.4 ms", "first inference 9.5 ms", "61 MB", "87 of 87 came out"):
        assert said in page.text
    assert "Figures of devices" in markdown
    assert "<script" not in markdown
    path.write_text(json.dumps(known | {"artifact_sha256": "0" * 64}))
    with pytest.raises(InputError, match="none of the bundles holds it"):
        write_report(folder, [path])


def test_the_plans_front_is_drawn_with_this_build_on_it(tmp_path: Path) -> None:
    asked = plan(["android-onnx"])
    own = asked["candidates"][0]
    asked["front"] = [
        {**own, "at_least": speed, "estimated_loss": loss, "bytes": {"android-onnx": size}}
        for speed, size, loss in [(1.2, 2_000_000, 0.009), (2.3, 2_000_000, 0.012), (2.3, 3_875_190, 0.006)]
    ]
    markup = write_report(write_build(tmp_path / "out", [verdict("android-onnx")], plan=asked))[1].read_text()
    text = Page(markup).text
    assert "lowest loss at 1.2 × the teacher's speed or more, short training" in text
    assert "lowest loss at 2.3 × the teacher's speed or more" in text
    described = re.search(r"2\.3 × the teacher's speed or more, short training: ([^<;]*)", markup.replace("&#39;", "'"))
    assert described is not None
    assert re.fullmatch(r"1\.2.% at 2.MB to 0\.6.% at 3\.88.MB", described[1])
    assert markup.count("line-3") > 1
    assert markup.count("line-0") > 1
