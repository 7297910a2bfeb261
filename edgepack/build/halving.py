"""Which candidates are trained next, and how long: successive halving by optuna, in a journal that processes share.

Every candidate is a trial. After each rung it goes on where its divergence is among the better half of those that
reached this rung before it (asynchronous successive halving, Li et al. 2018, arXiv:1810.05934); the first at a rung
always goes on. "Before it" is the plan's order and not the clock's: a candidate waits for the decision on those that
the plan has before it, while its process trains another's earlier rung. So any number of processes, of which any were
killed, decide what one would.

The journal holds what was reached; the decisions follow from it and are made again each time that it is read. It is a
file that only grows, which optuna's own tools show while the study runs. A process that dies in the middle of a line
leaves one that the next writer cuts off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgepack.machine.extras import import_package
from edgepack.machine.processes import held

FACTOR = 2  # of a rung's candidates one in so many goes on, with so many times the examples
NEED = "build --search"
STUDY = "search"  # its name in the journal


def check_optuna() -> None:
    """`MissingDependency` with the line that installs it."""
    import_package("optuna", NEED)


@dataclass
class JournalLock:
    """optuna's lock on a journal, by `flock`: its own ones are files, which stay for 30 s after a process that died."""

    journal: Path
    holding: ExitStack = field(default_factory=ExitStack)

    def acquire(self) -> bool:
        """Wait for it; then cut a line off that a dead process left half."""
        self.holding.enter_context(held(self.journal.with_suffix(".lock"), wait=True))
        written = self.journal.read_bytes()
        if not written.endswith(b"\n"):
            os.truncate(self.journal, written.rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """Let others write."""
        self.holding.close()


@dataclass(frozen=True)
class Decisions:
    """What follows from what was reached: trainings (candidate, rung) that are wanted, the next one first; who ended.

    `ended` holds the candidates that go no further, with whether they had all rungs.
    """

    wanted: list[tuple[int, int]]
    ended: dict[int, bool]


def decide(reached: Sequence[Mapping[int, float]], rungs: int) -> Decisions:
    """The decisions on candidates, in the plan's order, whose divergence by rung is known in part."""
    optuna = import_package("optuna", NEED)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner)  # draws nothing
    trials = [study.ask() for _ in reached]
    wanted: list[tuple[int, int]] = []
    ended: dict[int, bool] = {}
    going = list(range(len(reached)))
    for rung in range(rungs):
        there, going, known = going, [], True  # known: all that the plan has before are decided
        for number in there:
            value = reached[number].get(rung)
            if value is None:
                wanted.append((number, rung))
                known = False
            elif rung == rungs - 1:
                ended[number] = True
            elif known:
                trials[number].report(value, FACTOR**rung)
                if trials[number].should_prune():
                    ended[number] = False
                else:
                    going.append(number)
    wanted.sort(key=lambda each: (-each[1], each[0]))  # as one process would: a candidate as far as it goes
    return Decisions(wanted, ended)


class Halving:
    """The study of `count` candidates over so many `rungs` in the file `journal`, begun or resumed."""

    def __init__(self, journal: Path, count: int, rungs: int) -> None:
        self.optuna = import_package("optuna", NEED)
        backend = import_package("optuna.storages.journal", NEED).JournalFileBackend
        self.optuna.logging.set_verbosity(self.optuna.logging.WARNING)
        self.rungs, self.turn = rungs, journal.with_suffix(".turn")
        with held(self.turn, wait=True):
            self.study = self.optuna.create_study(
                study_name=STUDY,
                storage=self.optuna.storages.JournalStorage(backend(str(journal), lock_obj=JournalLock(journal))),
                sampler=self.optuna.samplers.RandomSampler(seed=0),
                direction="minimize",
                load_if_exists=True,
            )
            for _ in range(len(self.study.trials), count):
                self.study.ask()

    def reached(self) -> list[dict[int, float]]:
        """Each candidate's divergence by rung, whichever process trained it."""
        rung_of = {FACTOR**rung: rung for rung in range(self.rungs)}
        found = self.study.get_trials(deepcopy=False)
        return [{rung_of[step]: value for step, value in trial.intermediate_values.items()} for trial in found]

    def wanted(self) -> list[tuple[int, int]]:
        """The trainings (candidate, rung) that are known to be needed and not done; none when the search is over."""
        return decide(self.reached(), self.rungs).wanted

    def report(self, number: int, rung: int, divergence: float) -> None:
        """Add what a candidate reached, and end the trials for which that decides it."""
        with held(self.turn, wait=True):
            trial = self.study.get_trials(deepcopy=False)[number]
            if FACTOR**rung not in trial.intermediate_values:
                self.optuna.trial.Trial(self.study, trial._trial_id).report(divergence, FACTOR**rung)
            reached = self.reached()
            for ended, whole in decide(reached, self.rungs).ended.items():
                told = {"values": reached[ended][self.rungs - 1]} if whole else {"state": self._pruned}
                self.study.tell(ended, skip_if_finished=True, **told)

    @property
    def _pruned(self) -> Any:
        return self.optuna.trial.TrialState.PRUNED
