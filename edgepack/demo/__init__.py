"""The embedded example: its task, its base checkpoint, and the whole flow on them."""
