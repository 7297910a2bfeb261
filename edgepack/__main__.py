"""`python -m edgepack`: the command line without an installed script."""

from __future__ import annotations

from edgepack.cli import main

if __name__ == "__main__":
    main(prog_name="edgepack")
