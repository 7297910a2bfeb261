"""Python processes that work for this one: started with their share of the machine, ended with all that they start.

Each is `python -m MODULE …` in a process group of its own, and says what it says to a log. It ends itself when its
parent does (`end_with_parent`), so that what is killed leaves nothing which runs on. Processes that share work hold
each piece by `flock`, which the kernel takes back from one that dies: its piece is simply free.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK_SECONDS = 0.5  # between looks at the parent process


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def gpu_names() -> list[str]:
    """The GPUs that other processes may see, as `CUDA_VISIBLE_DEVICES` names them."""
    import torch  # here: who starts no process asks for none

    given = os.environ.get(VISIBLE)
    count = torch.cuda.device_count()
    return (given.split(",") if given else [str(number) for number in range(count)])[:count]


def thread_settings(count: int) -> dict[str, str]:
    """The environment of a process that may use so many threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(count))


def share_of_machine(threads: int, slot: int, gpus: Sequence[str]) -> dict[str, str]:
    """What the process of this slot is told: its threads, and its GPU where there are several."""
    told = thread_settings(threads)
    return {**told, VISIBLE: gpus[slot % len(gpus)]} if len(gpus) > 1 else told


def start_module(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path, given: bytes | None = None
) -> subprocess.Popen[bytes]:
    """A process that runs `module`; `given` is what it reads from standard input. What it says is added to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    if given is not None and process.stdin is not None:
        try:
            with process.stdin as pipe:
                pipe.write(given)
        except BrokenPipeError:
            pass  # it ended before it read all: its exit code and its log say why
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_with_parent(
    parent: int, over: threading.Event, also: Callable[[], None] = lambda: None, look: Callable[[], None] | None = None
) -> None:
    """Until `over`: look now and then whether `parent` is still this process's parent; if not, `also`, and end.

    `look` is called each time that it is.
    """
    while not over.wait(LOOK_SECONDS):
        if os.getppid() != parent:
            also()
            os.killpg(0, signal.SIGKILL)
        if look is not None:
            look()


@contextmanager
def held(path: Path, wait: bool = False) -> Iterator[bool]:
    """Whether this process has the lock `path` for the block; with `wait` it has, when others are done.

    The file says which process had it last.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield True
