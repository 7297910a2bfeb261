"""Reading a built app for what stores and phones reject, one concern per file. Bundles belong to `evidence`."""
