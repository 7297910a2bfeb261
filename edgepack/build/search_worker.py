"""A process that trains candidates of a search beside the build's own: `edgepack build --search N --jobs M`.

    python -m edgepack.build.search_worker < what the build opened

It is given inputs and plan as the build has them, so nothing is checked or asked of the teacher twice, and takes from
the study what nobody else trains until nothing is left. Where it dies the others take its candidate again, from its
last checkpoint.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading

from edgepack.errors import InputError
from edgepack.machine.processes import end_with_parent


def main(parent: int, given: bytes) -> None:
    """Work as long as there is work, and as the parent lives. `given` comes from the process that started this one."""
    watch = threading.Thread(target=end_with_parent, args=(parent, threading.Event()), daemon=True)
    watch.start()
    from edgepack.build.plan_search import Shared  # here: the parent waits until all was read

    shared: Shared = pickle.loads(given)
    shared.search().work(shared.study(), shared.kept, shared.scratch)


if __name__ == "__main__":
    if sys.stdin.isatty():
        raise InputError("edgepack.build.search_worker is started by `edgepack build --search N --jobs M`; run that")
    main(os.getppid(), sys.stdin.buffer.read())
