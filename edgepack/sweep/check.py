"""Every build of a sweep planned before the first is trained: what a plan refuses ends the sweep in one line.

A teacher and its data are opened once and planned for each budget, recipe and list of targets. The seed decides no
shape, so that one seed stands for all. What the largest build takes of memory and disk decides how many run at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgepack.build.data_plan import plan_data
from edgepack.build.inputs import Inputs, check_request, open_inputs
from edgepack.build.masked_words import check_masked_model
from edgepack.build.recipe_check import check_shape
from edgepack.build.search_space import make_plan, make_search_space
from edgepack.build.training_data import text_data
from edgepack.console import Console
from edgepack.errors import EdgepackError
from edgepack.machine.memory import return_free_memory
from edgepack.sweep.job import OUTPUT, Group, Job, Planned
from edgepack.target import load_target


def plan_jobs(jobs: Sequence[Job], device: str | None, console: Console) -> dict[Group, Planned]:
    """Each kind of build, planned; an `EdgepackError` names the build that is refused.

    `device`: to look at in place of the jobs' own, where they run on other machines.
    """
    kinds: dict[str, dict[Group, Job]] = {}
    for job in jobs:
        kinds.setdefault(job.teacher, {}).setdefault(job.group, job)
    planned: dict[Group, Planned] = {}
    for teacher, groups in kinds.items():
        console.info(f"{teacher}: checked for {len(groups)} {'plan' if len(groups) == 1 else 'plans'}")
        opened = None
        for group, job in groups.items():
            try:
                opened = opened or opened_for(list(groups.values()), device, console)
                planned[group] = plan_job(job, opened)
            except EdgepackError as e:
                raise type(e)(f"{job.name}: {e}") from e
        return_free_memory()
    return planned


def opened_for(jobs: Sequence[Job], device: str | None, console: Console) -> Inputs:
    """The inputs of one teacher's builds, for all of their targets: what these lack is said once."""
    targets = tuple(dict.fromkeys(target for job in jobs for target in job.targets))
    request = replace(jobs[0].request(OUTPUT), targets=targets)
    return open_inputs(replace(request, device=device or request.device), console)


def plan_job(job: Job, opened: Inputs) -> Planned:
    """One build's plan on what is opened already."""
    request = job.request(OUTPUT)
    inputs = replace(opened, request=request, targets=tuple(load_target(name) for name in job.targets))
    check_request(request, inputs.teacher, inputs.targets)
    check_masked_model(request.chosen_recipe.augmentation, inputs)
    space = make_search_space(inputs)
    chosen = make_plan(request, space).chosen
    check_shape(request.chosen_recipe, request.effort, chosen.config, request.budget_bytes)
    data = plan_data(inputs, chosen, space.full, text_data(inputs, chosen.config))
    return Planned(dict(chosen.shipped_bytes), data.memory_bytes, data.bytes)
