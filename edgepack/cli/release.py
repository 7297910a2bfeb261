"""Commands of a release pipeline and an app team: they train nothing and need no torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgepack.cli.options import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    FILE,
    FOLDER,
    column_options,
    json_option,
    make_console,
    output_options,
    outside_option,
    print_record,
    print_result,
    quiet_option,
    take_columns,
    text_columns,
)
from edgepack.cli.texts import read_texts
from edgepack.errors import InputError, printable, shown

if TYPE_CHECKING:
    from edgepack.predict import Answer, Bundle


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=EXISTING_FOLDER)
@click.option(
    "--policy",
    type=EXISTING_FILE,
    help="TOML file with your limits, and checks to waive by name. [default: the limits of the bundle's build]",
)
@click.option("--eval", "evaluation", help="Labelled data: run the model on it and fail if its metric is too low.")
@column_options
@click.option(
    "--teacher",
    metavar="TEACHER",
    help="The teacher, as a folder or a hub id: with --eval on other data than the build's, it answers them too, and "
    "retention is judged on them.",
)
@click.option(
    "--baseline",
    type=EXISTING_FOLDER,
    help="An earlier bundle: fail if costs grew, or with --eval if the metric fell, by more than the policy allows.",
)
@click.option(
    "--device-report",
    "device_reports",
    multiple=True,
    type=EXISTING_FILE,
    help="JSON file with a phone's figures, which the policy's limits on time and memory then judge; once or more.",
)
@click.option(
    "--student",
    type=EXISTING_FOLDER,
    help="The build's student/ folder: fail if the model answers otherwise than it does. Needs torch.",
)
@click.option("--junit", type=FILE, help="Write the checks to this file as JUnit XML, which CI systems show.")
@click.option("--markdown", type=FILE, help="Write the checks to this file as Markdown, for a job's summary page.")
@click.option(
    "--public-key",
    type=EXISTING_FILE,
    help="PEM file with an Ed25519 public key: fail if a bundle is not signed with its private key. [default: the "
    "policy's]",
)
@output_options
@click.pass_context
def gate(ctx: click.Context, /, bundles: tuple[Path, ...], as_json: bool, quiet: bool, **settings: Any) -> None:
    """Check whether bundles may ship; exit 1 if one may not."""
    from edgepack.evidence.gate import gate as run_gate

    columns = take_columns(settings)
    result = run_gate(bundles, columns=columns, console=make_console(quiet), **settings)
    print_result(result, as_json)
    ctx.exit(0 if result.passed else 1)


@click.command()
@click.argument("old", type=EXISTING_FOLDER)
@click.argument("new", type=EXISTING_FOLDER)
@click.option("--eval", "evaluation", help="Labelled data that both answer: exit 1 if the new metric is too low.")
@column_options
@click.option(
    "--policy",
    type=EXISTING_FILE,
    help="TOML file with your limits: max_drop, confidence, max_growth. [default: max_drop 5%, no limit of growth]",
)
@output_options
@click.pass_context
def compare(
    ctx: click.Context, /, old: Path, new: Path, policy: Path | None, as_json: bool, quiet: bool, **settings: Any
) -> None:
    """Compare two releases of one model.

    Exit 1 if the new one is worse than the policy allows.
    """
    from edgepack.evidence.compare import compare as run_compare

    columns = take_columns(settings)
    found = run_compare(old, new, columns=columns, policy=policy, console=make_console(quiet), **settings)
    print_result(found, as_json)
    ctx.exit(found.exit_code)


@click.command()
@click.argument("bundle", type=EXISTING_FOLDER)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--data",
    metavar="FILE",
    help="Answer a data set, in any format that build reads; with labels, measure the metric. A .txt file has one text "
    "a line.",
)
@text_columns
@click.option(
    "--labels",
    metavar="NAMES",
    help="With an entailment bundle: choose from these labels, a list or a file. With --data: names of integer labels.",
)
@outside_option
@click.option(
    "--hypothesis",
    metavar="TEMPLATE",
    help='With --labels: the sentence that each label is put into, at {}. [default: "This example is {}."]',
)
@click.option("--multi-label", is_flag=True, help="With --labels: several may be true; each is judged alone.")
@click.option(
    "--rank",
    "query",
    metavar="QUERY",
    help="Sort the texts by how well they suit this query; needs a bundle that embeds texts or scores pairs.",
)
@click.option(
    "--compare-teacher",
    "teacher",
    metavar="TEACHER",
    help='With --data: the teacher; print where it answers otherwise. Needs "edgepack[build]".',
)
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Threads of the runtime.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print each answer as one JSON object on a line; with --data, one for all."
)
@quiet_option
def predict(
    bundle: Path,
    texts: tuple[str, ...],
    data: str | None,
    teacher: str | None,
    query: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Answer texts with a bundle.

    With - it reads one from each line of standard input. A bundle for pairs takes two texts in turn, or two on a line
    with a tab between them; with --labels or --rank it takes single texts.
    """
    from edgepack.predict import Bundle
    from edgepack.predict.data import answer_data

    ask = take_question(settings, data)
    columns, console = take_columns(settings), make_console(settings["quiet"])
    if teacher is not None and data is None:
        raise InputError("--compare-teacher goes with --data: the teacher answers the same texts")
    if data is None and columns != type(columns)():
        raise InputError("columns are named and no data set is given; add --data FILE")
    if query is not None and (data is not None or ask is not None):
        raise InputError("--rank goes with texts alone; leave out --data and --labels")
    if data is not None and texts:
        raise InputError(f"text is {shown(texts[0])} beside --data; give texts, or a data set")
    loaded = Bundle.load(bundle, settings["threads"])
    if data is not None:
        print_result(answer_data(loaded, data, columns, teacher, console), as_json)
        return
    lines = sys.stdin.buffer if sys.stdin is not None else None
    given = read_texts(texts, lines, loaded.manifest.pair and ask is None and query is None)
    for answer in _answers(loaded, given, ask, query):
        click.echo(json.dumps(answer.to_record()) if as_json else "\n".join(answer.lines()))


def _answers(
    bundle: Bundle, texts: Iterator[Any], ask: Callable[[Bundle, Any], Answer] | None, query: str | None
) -> Iterable[Answer]:
    """One after the other; of a ranking all at once, the best first."""
    if query is not None:
        return bundle.rank(query, list(texts))
    return bundle.answers(texts) if ask is None else (ask(bundle, text) for text in texts)


def take_question(settings: dict[str, Any], data: str | None) -> Callable[[Bundle, Any], Answer] | None:
    """Take the flags of labels of one's own out of `settings`, as what asks a bundle a text; None without them."""
    from edgepack.predict.zero_shot import HYPOTHESIS
    from edgepack.task.examples import read_names

    hypothesis, multi_label = settings.pop("hypothesis"), settings.pop("multi_label")
    if (hypothesis is not None or multi_label) and (data is not None or not settings["labels"]):
        raise InputError("--hypothesis and --multi-label go with --labels and texts; add --labels A,B, without --data")
    if data is not None or not settings["labels"]:
        return None
    names = read_names(settings["labels"], fewest=1)
    settings["labels"] = None
    return lambda bundle, text: bundle.zero_shot(text, names, hypothesis or HYPOTHESIS, multi_label)


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=EXISTING_FOLDER)
@click.option("--key", type=EXISTING_FILE, required=True, help="PEM file with your Ed25519 private key.")
@output_options
def sign(bundles: tuple[Path, ...], key: Path, as_json: bool, quiet: bool) -> None:
    """Sign bundles, so that the gate can tell who released them."""
    from edgepack.bundle.signature import SIGNATURE_NAME, sign_bundle
    from edgepack.evidence import bundle_files

    for folder in bundles:
        bundle_files.refuse_changed(folder, "signed")
    records = {str(folder): sign_bundle(folder, key) for folder in bundles}
    for folder in bundles:
        make_console(quiet).info(f"signed: {printable(str(folder / SIGNATURE_NAME))}")
    key_sha256 = {folder: record.key_sha256 for folder, record in records.items()}
    print_record({f: r.model_dump(mode="json") for f, r in records.items()} if as_json else key_sha256, as_json)


@click.command()
@click.argument("bundle", type=EXISTING_FOLDER)
@click.option("-o", "--output", type=FILE, required=True, help="JSON file to write.")
@output_options
def bom(bundle: Path, output: Path, as_json: bool, quiet: bool) -> None:
    """Write a bundle's bill of materials as CycloneDX JSON."""
    from edgepack.bundle.bom import write_bill_of_materials
    from edgepack.evidence import bundle_files

    bundle_files.refuse_changed(bundle, "listed")
    write_bill_of_materials(bundle, output)
    make_console(quiet).info("it names the model, its teacher and licence, every file, and the runtime")
    print_record({"bom": str(output)}, as_json)


@click.command()
@click.argument("bundle", type=EXISTING_FOLDER)
@click.option("--app", type=click.Choice(["android", "ios", "web"]), required=True, help="Kind of app to write.")
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the project; new or empty.")
@click.option("--name", default="edgepack sample", show_default=True, help="The app's name, as people see it.")
@click.option(
    "--application-id",
    default="dev.edgepack.sample",
    show_default=True,
    help="Reverse-DNS id of the app, by which stores know it.",
)
@click.option(
    "--download-url",
    metavar="URL",
    help="Leave the model out; the app downloads it from this folder at its first start. [default: it is in the app]",
)
@click.option(
    "--vectors",
    type=click.Choice(["float32", "int8", "binary"]),
    default="float32",
    show_default=True,
    help="How the app stores each number of the vectors of the texts that it searches: in 4 bytes, a byte or a bit.",
)
@click.option(
    "--version-name", metavar="NAME", default="1.0", show_default=True, help="The app's version, as people see it."
)
@click.option(
    "--version-code",
    type=click.IntRange(1, 2_100_000_000),
    default=1,
    show_default=True,
    help="Number of the release; a store wants a larger one for each.",
)
@click.option(
    "--icon",
    type=EXISTING_FILE,
    help="PNG file, square: 1024 x 1024 pixels without transparency for iOS, 512 x 512 or more for Android. "
    "[default: edgepack's]",
)
@click.option(
    "--examples",
    type=click.IntRange(0, 5),
    default=0,
    show_default=True,
    help="How many short texts of the evaluation data the web app offers to try; whoever opens the page can read them.",
)
@click.option(
    "--fallback",
    multiple=True,
    type=EXISTING_FOLDER,
    metavar="BUNDLE",
    help="iOS: another bundle of the build, for systems too old for the first. The app holds both and opens one.",
)
@click.option("--force", is_flag=True, help="Replace a folder that is not empty, once the new one is complete.")
@click.option("--force-failed", is_flag=True, help="Package a bundle whose verdict failed: to try it, not to ship it.")
@output_options
def package(
    bundle: Path, app: str, output: Path, force: bool, force_failed: bool, as_json: bool, quiet: bool, **settings: Any
) -> None:
    """Write an app project with the bundle's model in it."""
    from edgepack.package import AppOptions, package_bundle

    packaged = package_bundle(bundle, app, output, AppOptions(**settings), force, force_failed)
    make_console(quiet).info(f"{packaged.folder / 'README.md'} says how to build and run it, and what was verified")
    record = packaged.to_record()
    shown = {"files": f"{len(packaged.files)} files", "growth": packaged.growth.describe()}
    print_record(record if as_json else {**record, **shown}, as_json)


@click.command("reduce-runtime")
@click.argument("bundle", type=EXISTING_FOLDER)
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the files; new or empty.")
@output_options
def reduce_runtime(bundle: Path, output: Path, as_json: bool, quiet: bool) -> None:
    """Write files for a runtime with only a bundle's operators.

    For ONNX Runtime: the operators with their types, as its build takes them, and the model in its own format. For
    ExecuTorch: the operators.
    """
    from edgepack.package.reduced_runtime import reduce_runtime as run_reduce_runtime

    reduced = run_reduce_runtime(bundle, output)
    make_console(quiet).info(f"{reduced.folder / 'README.md'} says how to build the runtime, and what was verified")
    record = reduced.to_record()
    print_record(record if as_json else {**record, "operators": len(reduced.operators)}, as_json)


@click.command()
@click.argument("app", type=EXISTING_FILE)
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    type=EXISTING_FOLDER,
    help="Bundle that passed the gate: fail if the app has another model; once or more.",
)
@click.option(
    "--on-demand",
    is_flag=True,
    help="The app downloads its model: the model may be missing, and the INTERNET permission is allowed.",
)
@click.option(
    "--allow", "allowed", multiple=True, metavar="PERMISSION", help="Android permission that the app may request."
)
@json_option
@click.pass_context
def inspect(ctx: click.Context, /, app: Path, as_json: bool, **settings: Any) -> None:
    """Check an .apk, .aab or .ipa for what stores and phones reject."""
    from edgepack.inspect.app import inspect_app

    result = inspect_app(app, settings["bundles"], settings["on_demand"], settings["allowed"])
    print_result(result, as_json)
    ctx.exit(0 if result.passed else 1)


@click.command()
@click.argument("output", type=EXISTING_FOLDER)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--serve",
    "port",
    type=click.IntRange(0, 65535),
    is_flag=False,
    flag_value=0,
    metavar="[PORT]",
    help="Serve the two files to this machine only, until Ctrl-C. Give it after OUTPUT. [default PORT: a free one]",
)
@click.option(
    "--device-report",
    "device_reports",
    multiple=True,
    type=EXISTING_FILE,
    help="JSON file with a phone's figures to show on the page; once or more.",
)
@output_options
def report(
    output: Path, opened: bool, port: int | None, device_reports: tuple[Path, ...], as_json: bool, quiet: bool
) -> None:
    """Write report.html and report.md of a build or a sweep."""
    from edgepack.report import write_report
    from edgepack.report.serve import open_report, serve_report

    paths, console = write_report(output, device_reports), make_console(quiet)
    written = {path.suffix.removeprefix("."): str(path) for path in paths}
    if port is not None:
        serve_report(paths, console, port, opened, lambda url: print_record(written | {"address": url}, as_json))
        return
    print_record(written, as_json)
    if opened:
        open_report(Path(written["html"]), console)
    else:
        console.info("open the HTML page in a browser (--open does); it loads nothing from outside")
