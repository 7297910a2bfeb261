"""Write the lists of documentation that have a source elsewhere: rooms of the package, decisions, the apps' versions,
and the runtimes' sizes.

    python docs/generate_lists.py     (part of `make docs`)

A list stands between `<!-- NAME -->` and `<!-- end -->` of one page and is written nowhere else. The rooms come from
the first docstring lines of what lies in edgepack/; the decisions from the head of each record in docs/decisions/; the
versions from sample_apps/pins.toml; the sizes from edgepack/bundle/runtime_sizes.toml.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from edgepack.bundle.growth import load_sizes
from edgepack.package.pins import load_pins

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
RECORD = re.compile(
    r"# (?P<title>.+)\n\n- Date: (?P<date>\d{4}-\d\d-\d\d)\n- Status: (?P<status>.+)\n(?P<body>(?:.|\n)+)"
)


def rooms() -> str:
    """A table: each package and file of edgepack/ with the first line of its docstring."""
    package = REPOSITORY / "edgepack"
    files = [path for path in package.glob("*.py") if path.name[0] != "_"]
    packages = [path.parent for path in package.glob("*/__init__.py")]
    rows = ["| room | what it holds |", "|---|---|"]
    for path in [*sorted(packages), *sorted(files)]:
        source = path / "__init__.py" if path.is_dir() else path
        name = f"{path.name}/" if path.is_dir() else path.name
        rows.append(f"| `{name}` | {first_line(source)} |")
    return "\n".join(rows)


def first_line(path: Path) -> str:
    """The first line of a file's docstring; empty where it has none."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return next(iter(text.splitlines()), "").replace("|", "\\|")


def decisions() -> str:
    """A table: each record with its date and status, the newest first."""
    found = sorted((read_record(path), path.name) for path in (DOCS / "decisions").glob("*.md") if path.stem != "index")
    rows = ["| date | decision | status |", "|---|---|---|"]
    rows += [f"| {date} | [{title}]({name}) | {status} |" for (date, title, status), name in reversed(found)]
    return "\n".join(rows)


def read_record(path: Path) -> tuple[str, str, str]:
    """Date, title and status of a record; `ValueError` for a page of another form."""
    found = RECORD.fullmatch(path.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{path.name}: a record is '# title', '- Date: YYYY-MM-DD', '- Status: …' and a text")
    return found["date"], found["title"], found["status"]


def pins() -> str:
    """A table: each version that the sample apps ask for."""
    rows = ["| app | what | version | newest known | it needs | checked |", "|---|---|---|---|---|---|"]
    for pin in load_pins():
        needs = pin.needs or ("–" if pin.min_sdk is None else f"Android SDK {pin.min_sdk}: {pin.min_sdk_from}")
        cells = (pin.app, pin.name, pin.version, f"{pin.newest} ({pin.date})", needs, pin.checked)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def sizes() -> str:
    """A table: what is known of each runtime's size."""
    rows = ["| app | it links | version | measured | bytes | with gzip | on |", "|---|---|---|---|---|---|---|"]
    for size in load_sizes():
        if size.registry == "system":
            rows.append(f"| {size.device} | {size.library} | – | part of {size.system} | 0 | 0 | {size.date} |")
            continue
        what = "what an app ships" if size.same else f"{size.package} for {size.system}; the app's own: not known here"
        cells = (size.device, size.library, size.version, what, f"{size.bytes:,}", f"{size.gzip_bytes:,}", size.date)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


LISTS = {
    DOCS / "architecture.md": ("rooms", rooms),
    DOCS / "decisions" / "index.md": ("decisions", decisions),
    DOCS / "sample-apps.md": ("pins", pins),
    DOCS / "app-size.md": ("sizes", sizes),
}


def with_list(path: Path) -> str:
    """The page at `path` with its list as it is now."""
    name, make = LISTS[path]
    page = path.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->\n", "<!-- end -->"
    before, found, rest = page.partition(start)
    if not found or end not in rest:
        raise ValueError(f"{path.name} has no {start.strip()} … {end}; put both lines where the list belongs")
    return f"{before}{start}{make()}\n{rest[rest.index(end) :]}"


def main() -> None:
    """Rewrite every list."""
    for path in LISTS:
        path.write_text(with_list(path), encoding="utf-8")


if __name__ == "__main__":
    main()
