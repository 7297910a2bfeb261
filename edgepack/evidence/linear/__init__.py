"""A linear model of hashed n-grams, which says whether a task needs a student. Other comparisons belong to `evidence`.

It is trained on a build's own training data within a build's own budget, in seconds, and needs scikit-learn, of the
extra `build`. What it reached is a record (`bundle/linear.py`), so reading and gating it needs no package.
"""
