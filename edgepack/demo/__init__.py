"""The embedded example: its task, its base checkpoint, the flow on them. The flow itself belongs to `build`."""
