"""Short trainings of the plan's candidates, which correct its order: `edgepack build --search N`.

Each candidate is carved, distilled and rounded by the build's own recipe, with a fraction of its examples, and judged
by its divergence from the teacher on training examples that none of these trainings sees; evaluation data are not
touched.
Candidates go on in rungs by successive halving (`halving.py`), every rung a training of its own from the carved
student: the learning rate falls and rounding happens within it, so that its end can be compared. For the same
reason the build does not go on from the winner's weights: its schedule begins at the peak rate with more heads and
units than are left at a trial's end, and what it makes of a plan must not depend on how the plan was found.

Trials see no synthetic examples, whose number depends on the shape, so the teacher runs once for all of them. All lies
in the stage's scratch folder: a search that was killed resumes at the last checkpoint of the trial at hand.

With `--jobs` further processes (`search_worker.py`) take trainings too, each of them under a lock in that folder. Which
process trains a candidate does not change what it comes to, as long as each has as many threads.
"""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from edgepack.build.data_plan import fixed_bytes
from edgepack.build.halving import FACTOR, Halving, check_optuna
from edgepack.build.inputs import BuildRequest, Inputs
from edgepack.build.masked_words import check_masked_model
from edgepack.build.recipe import Recipe, make_schedule, make_stages, recipe_record
from edgepack.build.stage_results import rounded_student
from edgepack.build.starting_student import carve_start
from edgepack.build.training_data import in_student_ids, layers_followed, open_outputs
from edgepack.console import Console
from edgepack.errors import InputError
from edgepack.evidence.forms import FormLogits, divergence
from edgepack.inference import predict
from edgepack.machine.memory import return_free_memory
from edgepack.machine.processes import gpu_names, held, share_of_machine, start_module, stop
from edgepack.parameters import format_size
from edgepack.plan.candidate import Candidate
from edgepack.plan.search import Plan, left_over
from edgepack.plan.speed import teacher_weights
from edgepack.task.encoded import Encoded
from edgepack.train import Course, Material, Place, Progress, load_progress, make_accelerator, save_progress, train
from edgepack.train.state_budget import TRAINING, Costs, KeptStates, Views, choose_kept, find_needs
from edgepack.train.teacher_outputs import save_teacher_outputs
from edgepack.workspace import Stage, hash_json, write_atomic

MOST_RUNGS, LONGEST = 3, 8  # the last rung sees the recipe's examples divided by this
JUDGED_SHARE, MOST_JUDGED, LEAST_JUDGED = 0.1, 1_000, 30
RESULT, JOURNAL, TRAINED = "search.json", "study.journal", "divergence.json"
WORKER = "edgepack.build.search_worker"  # what is started
POLL_SECONDS = 0.2  # between looks at a study whose trainings all have a process


@dataclass(frozen=True)
class Trained:
    """How far a candidate came: its last rung, the examples seen in it, and its divergence at the end, in nats."""

    candidate: int
    rung: int
    examples: int
    divergence: float


def check_searchable(request: BuildRequest) -> None:
    """`MissingDependency` for a search without optuna, before inputs are opened; one that is finished needs none."""
    if request.search is not None:
        check_optuna()


def check_opened(inputs: Inputs, accelerator: Accelerator) -> None:
    """Refuse what the inputs, once opened, do not serve: the recipe's masked-word model, and a search."""
    check_masked_model(inputs.request.chosen_recipe.augmentation, inputs)
    if inputs.request.search is not None:
        check_search(inputs, accelerator)


def check_search(inputs: Inputs, accelerator: Accelerator) -> None:
    """`InputError` for a build whose candidates cannot be tried."""
    task, count = inputs.teacher.task, round(JUDGED_SHARE * len(inputs.train))
    said = None
    if task.embeds:
        said = f"--search judges answers, and a teacher of {task.name} gives vectors"
    elif inputs.pairing is not None:
        said = "--search does not go with --student-tokenizer"
    elif accelerator.num_processes > 1:
        said = f"--search runs in one process, this build in {accelerator.num_processes}"
    elif count < LEAST_JUDGED:
        least = round(LEAST_JUDGED / JUDGED_SHARE)
        said = f"--search holds out a tenth of the training examples to judge by; there are {len(inputs.train)}, at "
        said += f"least {least} are needed"
    if said is not None:
        raise InputError(f"{said}; leave it out")


@dataclass(frozen=True, eq=False)
class PlanSearch:
    """The candidates of a plan, to be trained shortly."""

    inputs: Inputs
    plan: Plan
    accelerator: Accelerator
    console: Console
    bf16: bool

    @property
    def parts(self) -> dict[str, Any]:
        """What decides the result, besides what decides every stage."""
        shapes = [hash_json(candidate.config.to_dict()) for candidate in self.candidates]
        described = [candidate.describe() for candidate in self.candidates]
        return {"candidates": described, "shapes": shapes, "recipe": recipe_record(self.recipe), "rungs": self.rungs}

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All that are tried."""
        return self.plan.candidates

    @property
    def recipe(self) -> Recipe:
        """The build's, without what depends on the shape or has a stage of its own."""
        return replace(self.inputs.recipe, augmentation=None, general=None, module_replacing=None)

    @property
    def rungs(self) -> list[int]:
        """Examples seen at each, by a student as fast as the recipe is made for."""
        count = min(MOST_RUNGS, len(self.candidates).bit_length())
        longest = self.inputs.recipe.examples_seen // LONGEST
        return [max(self.recipe.batch_size, longest // FACTOR ** (count - 1 - rung)) for rung in range(count)]

    @cached_property
    def parted(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the training examples that trials see, and of those that judge them; drawn alike each time."""
        order = np.random.default_rng(self.inputs.request.seed).permutation(len(self.inputs.train))
        judged = min(MOST_JUDGED, round(JUDGED_SHARE * len(order)))
        seen = min(len(order) - judged, 3 * self.rungs[-1])  # a fast student sees three times as many
        return np.sort(order[judged : judged + seen]), np.sort(order[:judged])

    @cached_property
    def own(self) -> Inputs:
        """The inputs with the examples that trials see."""
        return replace(self.inputs, train=self.inputs.train.select(self.parted[0]))

    @cached_property
    def judged(self) -> Encoded:
        """The examples that judge."""
        return self.inputs.train.select(self.parted[1])

    def write(self, stage: Stage) -> None:
        """Try the candidates; the stage then holds one file."""
        scratch = stage.scratch
        check_search(self.inputs, self.accelerator)
        kept = self.keep_outputs(scratch / "teacher")
        shared = Shared(self.inputs, self.plan, self.bf16, kept, scratch)
        with helped(shared, self.console) as look:
            self.work(shared.study(), kept, scratch, look)
        found: dict[int, Trained] = {}
        for path in scratch.glob(f"*/{TRAINED}"):
            trained = Trained(**json.loads(path.read_text(encoding="utf-8")))
            if trained.candidate not in found or trained.rung > found[trained.candidate].rung:
                found[trained.candidate] = trained
        for path in scratch.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        record = [asdict(found[number]) for number in sorted(found)]
        write_atomic(scratch / RESULT, json.dumps(record, indent=2).encode())

    def work(self, study: Halving, kept: KeptStates, scratch: Path, look: Callable[[], None] = lambda: None) -> None:
        """Train what the study wants and no other process trains, until it wants nothing; `look` now and then."""
        said: set[tuple[int, int]] = set()
        while wanted := study.wanted():
            if not any(self.taken(number, rung, study, kept, scratch) for number, rung in wanted):
                time.sleep(POLL_SECONDS)
            look()
            for number, rungs in enumerate(study.reached()):
                for rung in sorted(set(rungs) - {rung for other, rung in said if other == number}):
                    self.console.info(self.said(self.tried(number, rung, scratch, kept)))
                    said.add((number, rung))

    def taken(self, number: int, rung: int, study: Halving, kept: KeptStates, scratch: Path) -> bool:
        """Whether no other process has this training: then it is done, and reported."""
        with held(scratch / f"{number}-{rung}.lock") as free:
            if free:
                study.report(number, rung, self.tried(number, rung, scratch, kept).divergence)
            return free

    def read(self, stage: Stage) -> Plan:
        """The plan in the order that the trials gave: who came further first, then by divergence."""
        record = json.loads((stage.folder / RESULT).read_text(encoding="utf-8"))
        found = sorted((Trained(**each) for each in record), key=lambda each: (-each.rung, each.divergence))
        ordered = tuple(
            replace(
                self.candidates[each.candidate],
                trial_divergence=float(f"{each.divergence:.6g}"),
                trial_examples=each.examples,
            )
            for each in found
        )
        plan = replace(self.plan, candidates=ordered)
        return replace(plan, note=left_over(plan))

    def said(self, trained: Trained) -> str:
        """A line on a trial's rung."""
        place = f"candidate {trained.candidate + 1} of {len(self.candidates)}, rung {trained.rung + 1}"
        found = f"KL {trained.divergence:.3g} after {trained.examples:,} examples"
        return f"search: {place}: {found}, on {len(self.judged):,} held out"

    def keep_outputs(self, folder: Path) -> KeptStates:
        """The teacher's outputs for all trials, in `folder`, and its logits on the examples that judge."""
        inputs, sizes = self.own, self.inputs.teacher.sizes
        followed = sorted({layer for each in self.candidates for layer in layers_followed(inputs, each)})
        lengths, seed = inputs.train.lengths, inputs.request.seed
        schedule = make_schedule(self.recipe)
        needs = find_needs(schedule, followed, sizes.layers, sizes.hidden_size)
        full = inputs.load_runner(self.bf16)
        costs = Costs(*self._costs(full.config))
        every = np.ones(len(lengths), np.int64)
        disk = inputs.request.disk_budget - fixed_bytes(inputs, lengths)
        if disk < 0:
            raise InputError(
                f"disk budget is {format_size(inputs.request.disk_budget)}; the teacher's logits for --search take "
                f"{format_size(fixed_bytes(inputs, lengths))}; give a larger --disk-budget"
            )
        kept = choose_kept(needs, Views(lengths, every, every), costs, disk, seed).kept
        if not (folder / "judged.npy").is_file():
            settings = {"device": self.accelerator.device, "bf16": self.bf16}
            save_teacher_outputs(full, inputs.train, kept, folder, self.console, **settings)
            np.save(folder / "judged.npy", predict(inputs.load_runner(), self.judged))
        return_free_memory()
        return kept

    def _costs(self, full: Any) -> tuple[float, float]:
        students = [float(sum(teacher_weights(each.config))) for each in self.candidates]
        return float(sum(teacher_weights(full))), TRAINING * float(np.mean(students))

    def tried(self, number: int, rung: int, scratch: Path, kept: KeptStates) -> Trained:
        """A candidate trained at one rung; from its file where that is done."""
        folder, candidate = scratch / f"{number}-{rung}", self.candidates[number]
        done = folder / TRAINED
        if not done.is_file():
            recipe = replace(self.recipe, examples_seen=self.rungs[rung])
            schedule = make_schedule(recipe, candidate.estimated_speed)
            student = self.train(candidate, recipe, folder, scratch / "teacher", kept)
            examples = schedule.total_steps * schedule.batch_size
            reached = Trained(number, rung, examples, self.judge(student, candidate, scratch / "teacher"))
            write_atomic(done, json.dumps(asdict(reached)).encode())
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
            return_free_memory()
        return Trained(**json.loads(done.read_text(encoding="utf-8")))

    def train(self, candidate: Candidate, recipe: Recipe, folder: Path, outputs: Path, kept: KeptStates) -> Progress:
        """Carve and train by all of the recipe's stages, from the last that is finished in `folder`."""
        folder.mkdir(exist_ok=True)
        schedule = make_schedule(recipe, candidate.estimated_speed)
        data = in_student_ids(self.own.train, candidate.config, self.own)
        stages = make_stages(recipe, schedule, candidate.config)
        progress, left = self._finished(folder, list(stages))
        if progress is None:
            progress = carve_start(self.own, candidate, recipe, data, self.console)
            save_progress(progress, folder / "carve")
        teacher = open_outputs(self.own, candidate, outputs, kept, self.bf16)
        for name in left:
            place = Place(self.accelerator, folder / f"{name}-work", self.console, f"search {name}")
            course = Course(schedule, stages[name], self.inputs.request.seed)
            progress = train(progress, Material(data, teacher), course, place)
            save_progress(progress, folder / name)
        return progress

    def _finished(self, folder: Path, names: Sequence[str]) -> tuple[Progress | None, list[str]]:
        """What the last finished stage left, and the stages that are left."""
        for place in range(len(names), -1, -1):
            progress = load_progress(folder / ["carve", *names][place])
            if progress is not None:
                return progress, list(names[place:])
        return None, list(names)

    def judge(self, progress: Progress, candidate: Candidate, outputs: Path) -> float:
        """Divergence from the teacher on the examples held out, at the candidate's bit widths."""
        student, scoring = rounded_student(progress, candidate.config), self.inputs.teacher.task.scoring
        data = in_student_ids(self.judged, candidate.config, self.inputs)
        logits = predict(student, data, exact=True)
        teacher = FormLogits("teacher", np.load(outputs / "judged.npy"), self.judged, scoring)
        return divergence(FormLogits("student", logits, data, scoring), teacher)


@dataclass(frozen=True, eq=False)
class Shared:
    """All that a process needs to take part in a search."""

    inputs: Inputs
    plan: Plan
    bf16: bool
    kept: KeptStates
    scratch: Path

    def search(self) -> PlanSearch:
        """The search as a process of its own sees it."""
        return PlanSearch(self.inputs, self.plan, make_accelerator(self.inputs.request.device), Console(), self.bf16)

    def study(self) -> Halving:
        """The study that all share."""
        found = self.search()
        return Halving(self.scratch / JOURNAL, len(found.candidates), len(found.rungs))


@contextmanager
def helped(shared: Shared, console: Console) -> Iterator[Callable[[], None]]:
    """One process less than `--jobs` at work beside this one, with as many threads each; what it gives looks for dead.

    They end with the block.
    """
    request, threads = shared.inputs.request, torch.get_num_threads()
    others = request.search_jobs - 1
    if not others:
        yield lambda: None
        return
    each, given = max(1, threads // request.search_jobs), pickle.dumps(shared)
    gpus = gpu_names() if ":" not in request.device else []
    running: dict[Path, subprocess.Popen[bytes]] = {}

    def look() -> None:
        for log, process in list(running.items()):
            if code := process.poll():
                del running[log]
                console.warn(f"search: a process ended with {code_text(code)}; its candidate is taken again; see {log}")

    torch.set_num_threads(each)
    try:
        for number in range(1, request.search_jobs):
            log = shared.scratch / f"worker-{number}.log"
            running[log] = start_module(WORKER, [], share_of_machine(each, number, gpus), log, given)
        console.info(f"search: {request.search_jobs} candidates at a time, {each} threads each")
        yield look
    finally:
        torch.set_num_threads(threads)
        for process in running.values():
            stop(process)


def code_text(code: int) -> str:
    """A process's exit code in words."""
    return f"signal {-code}" if code < 0 else f"code {code}"
