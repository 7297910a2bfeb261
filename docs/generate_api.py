"""Write the signature and first docstring paragraph of every public name into docs/api.md, below its `<!-- api: … -->`.

Which names are public, and their examples, is written in that page by hand. A test fails when the page is not as this
program makes it. Run it with `make docs`.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("api.md")
BLOCK = re.compile(r"(<!-- api: ([\w.]+) -->\n)(?:```text\n.*?\n```\n)?", re.DOTALL)


def public_names(page: str) -> list[str]:
    """The public names, in the page's order."""
    return [name for _, name in BLOCK.findall(page)]


def resolve(name: str) -> Any:
    """The function or class of a dotted name."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def describe(name: str) -> str:
    """Signature and first paragraph: a function's parameters, a class's fields."""
    thing = resolve(name)
    node = ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
    if isinstance(node, ast.ClassDef):
        own = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
        fields = [ast.unparse(part) for part in node.body if isinstance(part, ast.AnnAssign)]
        lines, end = parameters(own.args)[1:] if own else fields, ""
    else:
        assert isinstance(node, ast.FunctionDef), f"{name} is neither a class nor a function"
        lines, end = parameters(node.args), f" -> {ast.unparse(node.returns)}" if node.returns else ""
        lines += options(node.args.kwarg, thing)
    inside = "".join(f"    {line},\n" for line in lines)
    paragraph = (inspect.getdoc(thing) or "").split("\n\n")[0]
    return f"{name}({chr(10) if inside else ''}{inside}){end}\n\n{paragraph}"


def parameters(arguments: ast.arguments) -> list[str]:
    """Each parameter with its type and default; `*` before those that are given by name."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    defaults += arguments.defaults
    lines = [written(*pair) for pair in zip(positional, defaults, strict=True)]
    lines += ["*"] if arguments.kwonlyargs else []
    return lines + [written(*pair) for pair in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]


def options(argument: ast.arg | None, thing: Any) -> list[str]:
    """The keywords that `**options: Unpack[…]` stands for, each with its type; all may be left out."""
    kind = (
        re.fullmatch(r"Unpack\[(\w+)\]", ast.unparse(argument.annotation)) if argument and argument.annotation else None
    )
    if kind is None:
        return []
    found: Any = getattr(import_module(thing.__module__), kind[1])
    types = {name: getattr(hint, "__forward_arg__", hint) for name, hint in found.__annotations__.items()}
    return [f"{name}: {hint} = …" for name, hint in types.items()]


def written(argument: ast.arg, default: ast.expr | None) -> str:
    """One parameter as in its source."""
    return ast.unparse(argument) + ("" if default is None else f" = {ast.unparse(default)}")


def with_signatures(page: str) -> str:
    """The page with each public name as it is now."""
    return BLOCK.sub(lambda match: f"{match[1]}```text\n{describe(match[2])}\n```\n", page)


if __name__ == "__main__":
    PAGE.write_text(with_signatures(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
