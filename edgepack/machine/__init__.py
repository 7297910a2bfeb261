"""What a machine lacks: missing packages, a full disk, memory to give back. What it can do belongs to `doctor`."""
