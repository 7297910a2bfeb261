"""Builds on a Ray cluster: Ray's own scheduler gives each the cores and GPUs that it asks for.

A task does what a slot of `embedded` does: it starts the build as a process and waits. Where a node dies, Ray starts
the task on another one (`max_retries`), and the build resumes from what is in the storage. A build that ends with an
error is not tried again: it would end so anywhere.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgepack._version import __version__
from edgepack.bundle.sweep import SweepBuild
from edgepack.errors import InputError, one_line, reason, shown
from edgepack.machine.extras import import_package
from edgepack.machine.processes import thread_settings
from edgepack.sweep.file import RayTable
from edgepack.sweep.job import Job, Told
from edgepack.sweep.worker import run_apart

ANSWER_SECONDS = 10.0  # in which a cluster's head takes a connection
RETRIES = 3  # of a build whose node died


@contextmanager
def cluster(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster at `address`; `InputError` where there is none."""
    ray = import_package("ray", "--ray")
    check_address(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as e:
        raise no_cluster(address, e) from e
    try:
        yield ray
    finally:
        ray.shutdown()


def check_address(address: str) -> None:
    """`InputError` where nothing listens at HOST:PORT: Ray would try for minutes, and then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as e:
        raise no_cluster(address, e) from e


def no_cluster(address: str, error: Exception) -> InputError:
    """What to say of an address that is none."""
    return InputError(
        f"--ray is {shown(address)}, where no cluster answers: {reason(error)}; give HOST:PORT of `ray start --head`, "
        "auto, or local"
    )


def check_capacity(ray: Any, asked: RayTable) -> None:
    """`InputError` where no node has what a build asks for: Ray would wait for such a node for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for key, name, wanted in (("cpus", "CPU", asked.cpus), ("gpus", "GPU", asked.gpus)):
        most = max((float(node.get(name, 0)) for node in nodes), default=0.0)
        if wanted > most:
            raise InputError(f"ray.{key} is {wanted:g}; no node of the cluster has more than {most:g}; ask for less")
    if not any(node.get("CPU", 0) >= asked.cpus and node.get("GPU", 0) >= asked.gpus for node in nodes):
        raise InputError(f"ray.cpus is {asked.cpus} and ray.gpus {asked.gpus:g}; no node has both; ask for less")


def run_on_ray(
    ray: Any, jobs: Sequence[Job], output: str, asked: RayTable, begun: Callable[[Job], None], ended: Told
) -> None:
    """Build all jobs; each that ends is told, whatever it came to."""
    task = ray.remote(num_cpus=asked.cpus, num_gpus=asked.gpus, max_retries=RETRIES)(run_apart)
    threads = thread_settings(asked.cpus)
    waiting = {}
    for job in jobs:
        begun(job)
        waiting[task.options(name=job.name).remote(job.to_json(), output, threads, __version__)] = job
    while waiting:
        (done, *_), _ = ray.wait(list(waiting), num_returns=1)
        ended(result_of(ray, done, waiting.pop(done)))


def result_of(ray: Any, done: Any, job: Job) -> SweepBuild:
    """What a task that is over came to; what Ray itself says of it where it gave nothing."""
    try:
        return SweepBuild.model_validate_json(ray.get(done))
    except ray.exceptions.RayError as e:
        return job.failed(f"Ray gave it up after {RETRIES} more tries, or no node can run it: {one_line(e)}")
