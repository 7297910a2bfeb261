"""The texts that a command line gives: as arguments, or a text on each line of the standard input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgepack.errors import InputError, shown

Text = str | tuple[str, str]
LINES = "-"  # an argument that stands for the standard input


def read_texts(arguments: Sequence[str], lines: Iterable[str], pair: bool) -> Iterator[Text]:
    """The texts, lazily; `pair`: two arguments in turn, or two texts on a line with a tab between them.

    `InputError` where there is none, or half a pair.
    """
    if not arguments:
        raise InputError("no text given; give texts as arguments, or - to read one from each line of standard input")
    if LINES in arguments:
        if len(arguments) > 1:
            raise InputError(f"text is {shown(arguments[0])} beside -; give texts, or - alone")
        return _of_lines(lines, pair)
    if not pair:
        return iter(arguments)
    if len(arguments) % 2:
        raise InputError(f"{len(arguments)} texts for a bundle that takes pairs; give two for each pair")
    return iter(list(zip(arguments[::2], arguments[1::2], strict=True)))


def _of_lines(lines: Iterable[str], pair: bool) -> Iterator[Text]:
    try:
        for number, line in enumerate(lines, start=1):
            text = line.removesuffix("\n").removesuffix("\r")
            if not pair:
                yield text
                continue
            first, tab, second = text.partition("\t")
            if not tab:
                raise InputError(f"standard input:{number}: {shown(text)} has no tab; give two texts, a tab between")
            yield first, second
    except UnicodeDecodeError as e:
        raise InputError(f"standard input is not UTF-8 (byte {e.start} of a block); convert it, as with iconv") from e
