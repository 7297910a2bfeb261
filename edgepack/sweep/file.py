"""sweep.toml: teachers × budgets × recipes × lists of targets × seeds, checked whole before anything else happens.

    budgets = ["4MB", "2MB"]
    targets = ["android-onnx", "ios-onnx"]      # one student for both; [["android-onnx"], ["ios-onnx"]]: one for each
    seeds = [0, 1, 2]
    recipes = ["standard", "mine.toml"]

    [options]                                   # of every build, by the long names of `edgepack build`
    max-drop = "3%"

    [teachers.sst2]                             # options of its builds alone may stand here too
    model = "teacher/"
    data = "train.tsv"
    eval = "dev.tsv"

    [ray]                                       # what each build asks of a cluster
    cpus = 4
    gpus = 0.25

Paths are relative to the file. A key or value that cannot be is an `InputError` of one line that names the key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from edgepack.bounded import Place, read_toml
from edgepack.build.calls import BuildOptions
from edgepack.build.recipe_file import open_recipe
from edgepack.build.recipe_names import SUFFIX
from edgepack.build.recipe_settings import recipe_record
from edgepack.errors import InputError, as_demand, did_you_mean, shown
from edgepack.parameters import MOST_SEED, located, parse_size
from edgepack.sweep.job import OUTPUT, Job, job_name
from edgepack.target import load_target
from edgepack.workspace import hash_json, sha256_file

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LONGEST_NAME = 200  # of a build's folder
DIMENSIONS = ("effort", "recipe", "seed")  # options of a build that a sweep has lists of
PLACES = ("model", "data", "eval", "student_tokenizer", "labels")  # a path, or something else
FILES = ("raw_text", "speed_profile")  # a path


def _hyphens(name: str) -> str:
    return name.replace("_", "-")


def _as_bytes(value: Any) -> Any:
    return value if isinstance(value, bool | float) else parse_size(str(value))


def _as_targets(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _different(values: Sequence[Any]) -> Sequence[Any]:
    repeated = next((value for place, value in enumerate(values) if value in values[:place]), None)
    if repeated is not None:
        raise ValueError(f"{shown(repeated)} is there twice; give each once")
    return values


STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=_hyphens)
Text = Annotated[str, Field(min_length=1)]
Budget = Annotated[int, BeforeValidator(_as_bytes)]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Targets = Annotated[list[Text], BeforeValidator(_as_targets), Field(min_length=1)]

OPTIONS: dict[str, Any] = {
    name: (hint | None, None)
    for name, hint in get_type_hints(BuildOptions, include_extras=True).items()
    if name not in DIMENSIONS
}
Options: Any = create_model("Options", __config__=STRICT, **OPTIONS)


class TeacherTable(Options):
    """A teacher with its data, and options of its builds."""

    model: Text
    data: Text
    eval: Text | None = None


class RayTable(BaseModel):
    """What each build asks of a Ray cluster: whole or part GPUs, cores."""

    model_config = STRICT

    cpus: int = Field(default=2, ge=1)
    gpus: float = Field(default=0, ge=0, allow_inf_nan=False)


class SweepTable(BaseModel):
    """The whole file."""

    model_config = STRICT

    teachers: dict[str, TeacherTable] = Field(min_length=1)
    budgets: list[Budget] = Field(min_length=1)
    targets: list[Targets] = Field(min_length=1)
    seeds: list[Seed] = Field(default=[0], min_length=1)
    recipes: list[Text] = Field(default=["standard"], min_length=1)
    options: Options = Field(default_factory=Options)
    ray: RayTable = Field(default_factory=RayTable)


@dataclass(frozen=True)
class Sweep:
    """What a file asks for: its builds, the first seed of everything first."""

    jobs: tuple[Job, ...]
    ray: RayTable


def read_sweep(path: Path) -> Sweep:
    """The builds of a file; `InputError` names the file and the key."""
    table = read_toml(path, str(path))
    place = Place(str(path))
    try:
        found = SweepTable.model_validate(flat_targets(table))
    except ValidationError as e:
        raise told(e, table, place) from e
    check_lists(found, place)
    jobs = tuple(make_jobs(found, path, place))
    prints = Fingerprints()
    return Sweep(tuple(replace(job, fingerprint=prints.of(job)) for job in jobs), found.ray)


def flat_targets(table: dict[str, Any]) -> dict[str, Any]:
    """`targets` of names alone is one list of those that are built together."""
    targets = table.get("targets")
    flat = isinstance(targets, list) and targets and all(isinstance(each, str) for each in targets)
    return {**table, "targets": [targets]} if flat else table


def told(error: ValidationError, table: Mapping[str, Any], place: Place) -> InputError:
    """pydantic's first finding in one line, at the key as the file has it."""
    first, at = error.errors()[0], table
    for part in first["loc"]:
        if first["type"] not in ("missing", "extra_forbidden") and not _holds(at, part):
            break  # what follows names a type of several that a value may have
        place, at = place.inside(part), at[part] if _holds(at, part) else {}  # type: ignore[index]
    if first["type"] == "missing":
        return place.error("is missing; give it")
    if first["type"] == "extra_forbidden":
        allowed = keys_at([str(part) for part in first["loc"][:-1]])
        return place.error(f"is unknown; allowed: {', '.join(allowed)}{did_you_mean(str(first['loc'][-1]), allowed)}")
    problem = as_demand(first["msg"]).removeprefix("Value error, ")
    return place.error(f"is {shown(at)}; {problem[0].lower()}{problem[1:]}")


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(part, int):
        return isinstance(value, list) and part < len(value)
    return isinstance(value, Mapping) and part in value


def keys_at(parts: Sequence[str]) -> list[str]:
    """The keys that a table of the file may have."""
    kinds: dict[str, type[BaseModel]] = {"": SweepTable, "teachers": TeacherTable, "options": Options, "ray": RayTable}
    return [_hyphens(name) for name in kinds[parts[0] if parts else ""].model_fields]


def check_lists(table: SweepTable, place: Place) -> None:
    """Refuse names that no folder can have, targets and recipes that are not there, and what is listed twice."""
    for name in table.teachers:
        if not NAME.fullmatch(name):
            raise place.inside("teachers").error(
                f"has {shown(name)}, which is no name of a folder; use letters, digits, '.', '_' and '-', 64 at most"
            )
    if len({name.casefold() for name in table.teachers}) < len(table.teachers):
        raise place.inside("teachers").error("has names that differ in capitals alone, which some disks take for one")
    for key in ("budgets", "seeds", "recipes", "targets"):
        inside = place.inside(key)
        with_key(lambda key=key: _different(getattr(table, key)), inside)  # type: ignore[misc]
    for number, group in enumerate(table.targets):
        inside = place.inside("targets").inside(number)
        with_key(lambda group=group: _different([load_target(name).name for name in group]), inside)  # type: ignore[misc]


def with_key(work: Callable[[], Any], place: Place) -> Any:
    """What `work` gives; what it refuses is said of the key."""
    try:
        return work()
    except (ValueError, InputError) as e:
        raise place.error(f"is refused: {e}") from e


def make_jobs(table: SweepTable, path: Path, place: Place) -> Iterator[Job]:
    """The builds in their order: neighbours have different teachers, since builds of one teacher lend to each other."""
    recipes: dict[str, str] = {}  # name → as `edgepack build --recipe` takes it
    for number, given in enumerate(table.recipes):
        is_file = given.lower().endswith(SUFFIX)
        there = os.path.abspath(located("recipe", given, path, path_like=True)) if is_file else given
        found = with_key(lambda there=there: open_recipe(there), place.inside("recipes").inside(number))  # type: ignore[misc]
        name = found.name.removesuffix(SUFFIX)
        if name in recipes:
            raise place.inside("recipes").error(f"has two files called {shown(name)}; builds are named by them")
        recipes[name] = there
    for seed, budget, recipe, targets, teacher in product(
        table.seeds, table.budgets, recipes, table.targets, table.teachers
    ):
        own = located_options(table, teacher, path)
        needed = {key: own.pop(key, None) for key in ("model", "data", "eval")}
        job = Job(
            name=job_name(teacher, budget, recipe, seed, targets if len(table.targets) > 1 else ()),
            teacher=teacher,
            budget_bytes=budget,
            recipe=recipe,
            seed=seed,
            targets=tuple(targets),
            needed={**needed, "budget": budget, "target": list(targets)},
            options={**own, "recipe": recipes[recipe], "seed": seed},
        )
        if len(job.name) > LONGEST_NAME:
            raise place.inside("targets").error(f"gives a build a name of {len(job.name)} letters; list fewer together")
        try:
            job.request(OUTPUT)
        except InputError as e:
            raise place.inside("teachers").inside(teacher).error(f"is refused: {hyphened(str(e), own)}") from e
        yield job


def located_options(table: SweepTable, teacher: str, path: Path) -> dict[str, Any]:
    """A teacher's options with those of every build, paths as seen from here."""
    both = table.options.model_dump(exclude_none=True) | table.teachers[teacher].model_dump(exclude_none=True)
    for key, value in both.items():
        if key in (*PLACES, *FILES) and isinstance(value, str):
            there = located(_hyphens(key), value, path, path_like=key in FILES)
            both[key] = os.path.abspath(there) if os.path.exists(there) else there  # builds run in other folders
    return both


def hyphened(message: str, options: Mapping[str, Any]) -> str:
    """A message about an option, which names it as Python does, with its name in the file."""
    for key in options:
        message = message.replace(key, _hyphens(key))
    return message


class Fingerprints:
    """What decides builds, as hashes; each file is read once. Where it lies decides nothing."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, job: Job) -> str:
        """A build's: its options, its recipe's settings, the content of its files; of a hub's id the id."""
        recipe = open_recipe(job.options["recipe"]).recipe
        given = {**job.needed, **job.options, "recipe": recipe_record(recipe)}
        for key in (*PLACES, *FILES):
            if isinstance(given.get(key), str) and os.path.exists(given[key]):
                given[key] = self.content(given[key])
        return hash_json(given)

    def content(self, source: str) -> str:
        """Of a file, or of all files in a folder."""
        if source not in self._known:
            place = Path(source)
            files = [place] if place.is_file() else sorted(f for f in place.rglob("*") if f.is_file())
            self._known[source] = hash_json({f.relative_to(place).as_posix(): sha256_file(f) for f in files})
        return self._known[source]
