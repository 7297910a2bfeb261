"""What stands for a build in tests: it writes a result at once, fails, dies, or waits the first time, as it is told.

It imports nothing of edgepack, which would take longer than all else that such a test does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

job, output = json.loads(sys.argv[1]), Path(sys.argv[2])
name = job["name"]
print(f"{name} with {os.environ['OMP_NUM_THREADS']} threads", flush=True)
told = (output / f"tell-{name}").read_text() if (output / f"tell-{name}").exists() else ""
if told == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if told == "wait":
    begun = output / f"begun-{name}"
    again = begun.exists()
    begun.write_text(str(os.getppid()))
    time.sleep(0 if again else 600)
known = ("name", "teacher", "budget_bytes", "recipe", "seed", "targets", "fingerprint")
found = {key: job[key] for key in known} | {"status": "failed", "error": "told to"}
if told != "fail":
    (output / "builds" / name).mkdir(parents=True)
    (output / "builds" / name / "edgepack.json").write_text("{}")
    figures = {
        "metric": {"name": "accuracy", "value": 0.88, "n": 500, "low": 0.86, "high": 0.9},
        "retention": {"value": 0.98, "low": 0.96, "high": 1.0},
    }
    status = "failed" if told == "low" else "passed"
    result = {"target": job["targets"][0], "status": status, "shipped_bytes": 1_900_000, **figures}
    found |= {"status": "built", "error": None, "results": [result]}
(output / "results").mkdir(exist_ok=True)
(output / "results" / f"{name}.json").write_text(json.dumps(found))
