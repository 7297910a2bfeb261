"""Which candidate is trained next, and for how long: successive halving by optuna, in a journal that others can read.

Every candidate is a trial. After each rung it goes on where its divergence is among the better half of those that
reached this rung before it (asynchronous successive halving, Li et al. 2018, arXiv:1810.05934); the first at a rung
always goes on. So the plan's own order decides who is compared first. The journal is a file that only grows, which
optuna's own tools show while the study runs. A study that a kill ended is begun anew: what trials reached is in their
files (`plan_search.py`), and the same values give the same decisions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.machine.extras import import_package

FACTOR = 2  # of a rung's candidates one in so many goes on, with so many times the examples
NEED = "build --search"


def check_optuna() -> None:
    """`MissingDependency` with the line that installs it."""
    import_package("optuna", NEED)


class Halving:
    """A study of `count` candidates in the file `journal`, anew."""

    def __init__(self, journal: Path, count: int) -> None:
        self.optuna = import_package("optuna", NEED)
        backend = import_package("optuna.storages.journal", NEED).JournalFileBackend
        self.optuna.logging.set_verbosity(self.optuna.logging.WARNING)
        journal.unlink(missing_ok=True)
        self.study = self.optuna.create_study(
            study_name="search",
            storage=self.optuna.storages.JournalStorage(backend(str(journal))),
            sampler=self.optuna.samplers.RandomSampler(seed=0),  # draws nothing: a trial is a candidate
            pruner=self.optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR),
            direction="minimize",
        )
        self.count, self.begun = count, 0
        self.trial: Any = None

    def next(self) -> int | None:
        """The candidate whose trial begins now; None when all had one."""
        if self.begun == self.count:
            return None
        self.trial = self.study.ask()
        self.trial.set_user_attr("candidate", self.begun)
        self.begun += 1
        return self.begun - 1

    def goes_on(self, rung: int, divergence: float, last: bool) -> bool:
        """Whether the trial at hand has another rung before it, by what it reached at this one."""
        self.trial.report(divergence, FACTOR**rung)
        if last:
            self.study.tell(self.trial, divergence)
        elif self.trial.should_prune():
            self.study.tell(self.trial, state=self.optuna.trial.TrialState.PRUNED)
        else:
            return True
        return False
