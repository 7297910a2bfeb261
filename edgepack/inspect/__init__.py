"""Reading a built app: what stores and phones reject, found before they do. One concern per file."""
