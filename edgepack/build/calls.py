"""Plan and build as Python calls them: the options of `edgepack plan` and `edgepack build` as keywords.

A request is made here for the command line too, so that an option means the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Unpack

from pydantic import Field

from edgepack.build import flow
from edgepack.build.inputs import BuildRequest
from edgepack.build.recipe_file import open_recipe
from edgepack.build.results import BuildResult, PlanReport
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.speed_profile import read_speed_profile
from edgepack.machine.extras import one_line_errors
from edgepack.parameters import (
    MOST_SEED,
    AnyPath,
    as_disk,
    as_latency,
    as_list,
    as_path,
    as_share,
    as_size,
    as_text,
    check_options,
)
from edgepack.plan.wanted import Objective
from edgepack.target import load_target
from edgepack.task.column_options import ColumnOptions, columns_of
from edgepack.task.read_long import LongTexts
from edgepack.task.schemes import SchemeName
from edgepack.task.task import TaskName

OPTIONS_OF_COLUMNS = tuple(ColumnOptions.__annotations__)


class BuildOptions(ColumnOptions, total=False):
    """What may be left out of a plan or a build; the same options as on the command line, with the same defaults."""

    task: TaskName | None  # what the teacher does; from its config
    tag_scheme: (
        SchemeName | None
    )  # what its tags mean: BIO, IOB1, IO, IOBES, BILOU, types, plain; from labels and answers
    pooling: Literal["mean", "first", "last"] | None  # how an encoder makes one vector; from its modules.json
    max_drop: float | str | None  # largest loss of the teacher's metric: 0.02 or "2%"; 5 %
    answer_rate: float | str | None  # share of the right answers that an app still gives: 0.95 or "95%"; 95 %
    effort: Literal["quick", "standard", "max"] | None  # how long to train; standard
    recipe: AnyPath | None  # how to train, instead of `effort`: a built-in recipe's name or a .toml file
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)]  # 0
    device: str  # auto, cpu, cuda, cuda:1; auto
    raw_text: AnyPath | None  # a file of raw text, one sentence on a line
    max_latency: str | None  # longest median time at a count of tokens, as "2ms@32"; estimated, then measured
    speed_profile: AnyPath | None  # a file of `edgepack profile`; the built-in figures
    objective: Objective  # which of the shapes that fit is taken: the least loss, bytes, latency or memory; loss
    disk_budget: int | str  # of the teacher's outputs while a student is trained: bytes or "8GB"; 8 GB
    student_tokenizer: AnyPath | None  # a folder or hub id: the student's tokenizer instead of the teacher's
    max_length: Annotated[int, Field(ge=8)] | None  # longest input in tokens; from the data
    long_texts: LongTexts | None  # texts with more tokens: cut, or read whole in windows; words windows, texts cut
    allow_untrained: bool  # accept a teacher no better than the commonest label


@one_line_errors("plan_student")
def plan_student(
    *,
    model: AnyPath,
    data: AnyPath,
    eval: AnyPath | None = None,
    budget: int | str,
    target: str | Sequence[str],
    quiet: bool = False,
    **options: Unpack[BuildOptions],
) -> PlanReport:
    """The shapes that fit a budget and their predicted bytes, the one that a build would make first; trains nothing.

    `model` is the teacher, `data` what it is distilled on, `eval` held-out data, which a teacher that embeds can do
    without; `budget` is in bytes or as "4MB", `target` is one target's name or several. `quiet` switches progress off.
    """
    needed = {"model": model, "data": data, "eval": eval, "budget": budget, "target": target}
    given = check_options(plan_student, BuildOptions, options)
    return flow.plan_build(_request(needed, Path("out"), given), Console(quiet))


@one_line_errors("build_bundles")
def build_bundles(
    *,
    model: AnyPath,
    data: AnyPath,
    eval: AnyPath | None = None,
    budget: int | str,
    target: str | Sequence[str],
    output: AnyPath,
    search: int | None = None,
    jobs: int | None = None,
    fresh: bool = False,
    quiet: bool = False,
    **options: Unpack[BuildOptions],
) -> BuildResult:
    """A bundle for each target that fits the budget, written below `output`, with the verdict on each.

    Arguments are those of `plan_student`; with `search` so many candidates are trained shortly, `jobs` of them at a
    time, and the best is built.
    A build that was stopped resumes in its folder; `fresh` starts over. A verdict that did not pass is in the result
    and raises nothing.
    """
    needed = {"model": model, "data": data, "eval": eval, "budget": budget, "target": target}
    given = {**options, "search": search, "jobs": jobs, "fresh": fresh}
    return flow.build(build_request(needed, as_path("output", output), given), Console(quiet))


class _Asked(BuildOptions, total=False):
    """With what only a build takes."""

    search: Annotated[int, Field(ge=2, le=32)] | None
    jobs: Annotated[int, Field(ge=1, le=32)] | None
    fresh: bool


def build_request(needed: Mapping[str, Any], output: Path, options: Mapping[str, Any]) -> BuildRequest:
    """The request of a build from Python; `InputError` names the keyword that is wrong."""
    return _request(needed, output, check_options(build_bundles, _Asked, options))


def _request(needed: Mapping[str, Any], output: Path, given: dict[str, Any]) -> BuildRequest:
    for share in {"max_drop", "answer_rate"} & set(given):
        given[share] = as_share(share, given[share])
    if "disk_budget" in given:
        given["disk_budget"] = as_disk("disk_budget", given["disk_budget"])
    if given.get("student_tokenizer") is not None:
        given["student_tokenizer"] = as_text("student_tokenizer", given["student_tokenizer"])
    if "max_latency" in given:
        given["max_latency"] = as_latency("max_latency", given["max_latency"])
    for path in {"raw_text", "speed_profile"} & set(given):
        given[path] = as_path(path, given[path])
    if "jobs" in given:
        given["search_jobs"] = given.pop("jobs")
    return make_request(
        {
            **given,
            "teacher": as_text("model", needed["model"]),
            "train": as_text("data", needed["data"]),
            "evaluation": None if needed["eval"] is None else as_text("eval", needed["eval"]),
            "budget": as_size("budget", needed["budget"]),
            "targets": tuple(load_target(as_text("target", name)).name for name in as_list(needed["target"])),
            "output": output,
        }
    )


def make_request(inputs: Mapping[str, Any]) -> BuildRequest:
    """The request of these options, named as the command line's functions have them."""
    rest = {name: value for name, value in inputs.items() if name not in OPTIONS_OF_COLUMNS}
    effort, name = rest.pop("effort", None), rest.pop("recipe", None)
    if effort is not None and name is not None:
        raise InputError(
            "--effort and --recipe are both given; allowed: one of them, the effort being a recipe's length"
        )
    chosen: dict[str, Any] = {"effort": effort or "standard"}
    if name is not None:
        found = open_recipe(str(name))
        chosen = {"effort": found.name, "recipe": found.recipe}
    if rest.get("speed_profile") is not None:
        rest["speed_profile"] = read_speed_profile(Path(rest["speed_profile"]))
    if rest.get("answer_rate") == 0:
        raise InputError("answer rate is 0: no answer would be given; write a share above it, as 95%")
    if (jobs := rest.pop("search_jobs", None)) is not None:
        if rest.get("search") is None:
            raise InputError(f"jobs is {jobs}; only a search of candidates has several: give search too")
        rest["search_jobs"] = jobs
    return BuildRequest(columns=columns_of(inputs), budget_bytes=rest.pop("budget"), **rest, **chosen)
