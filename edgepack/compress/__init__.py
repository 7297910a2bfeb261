"""Compression methods, one per file: a student in, a smaller one out. The training loop belongs to `train`."""
