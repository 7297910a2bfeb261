"""Many builds from one file: listed, checked, run, put together. What one build does belongs to `build`.

    sweep.toml → `file` → jobs → `check` → `embedded` or `on_ray` → `worker`, one process for each → sweep.json, report

A job is plain data, and so is what comes back. Each build is an ordinary one, in a folder of its own, and resumes as
such. What ran is not asked of a scheduler but of the results that are there, so that a sweep which was killed, by
whatever, is the same as one that is half done.
"""
