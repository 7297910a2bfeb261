"""What stands for a build in tests: it writes a result at once, fails, dies, or waits the first time, as it is told."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from edgepack.bundle.manifest import MANIFEST_NAME
from edgepack.bundle.sweep import BUILDS
from edgepack.sweep.job import Job
from edgepack.sweep.storage import Storage
from edgepack.sweep.worker import result_name
from tests.sweep.made import made_target

job, output = Job.from_json(sys.argv[1]), Path(sys.argv[2])
print(f"{job.name} with {os.environ['OMP_NUM_THREADS']} threads", flush=True)
told = (output / f"tell-{job.name}").read_text() if (output / f"tell-{job.name}").exists() else ""
if told == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if told == "wait":
    begun = output / f"begun-{job.name}"
    again = begun.exists()
    begun.write_text(str(os.getppid()))
    time.sleep(0 if again else 600)
found = job.failed("told to") if told == "fail" else job.begun().model_copy(update={"status": "built"})
if told != "fail":
    (output / BUILDS / job.name).mkdir(parents=True)
    (output / BUILDS / job.name / MANIFEST_NAME).write_text("{}")
    status = "failed" if told == "low" else "passed"
    found = found.model_copy(update={"results": [made_target(status=status)]})
Storage(str(output)).write(result_name(job.name), found.model_dump_json().encode())
