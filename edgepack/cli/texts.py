"""The texts that a command line gives: as arguments, or a text on each line of the standard input.

Both are UTF-8, whatever the locale says: in the locale C Python takes bytes that are none for half characters, which a
tokenizer would call unknown.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence

from edgepack.errors import InputError, shown

Text = str | tuple[str, str]
LINES = "-"  # an argument that stands for the standard input
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_texts(arguments: Sequence[str], lines: Iterable[bytes] | None, pair: bool) -> Iterator[Text]:
    """The texts, lazily; `pair`: two arguments in turn, or two texts on a line with a tab between them.

    `lines`: of the standard input; None where it is closed.

    `InputError` where there is none, or half a pair, or one that is not UTF-8.
    """
    if not arguments:
        raise InputError("no text given; give texts as arguments, or - to read one from each line of standard input")
    broken = next((text for text in arguments if any("\ud800" <= c <= "\udfff" for c in text)), None)
    if broken is not None:
        raise InputError(f"text is {shown(broken)}, which is not UTF-8; convert it, as with iconv")
    if LINES in arguments:
        if len(arguments) > 1:
            raise InputError(f"text is {shown(arguments[0])} beside -; give texts, or - alone")
        if lines is None:
            raise InputError(
                "standard input is closed; give texts as arguments, or a file or pipe with one on each line"
            )
        return _of_lines(lines, pair)
    if not pair:
        return iter(arguments)
    if len(arguments) % 2:
        raise InputError(f"{len(arguments)} texts for a bundle that takes pairs; give two for each pair")
    return iter(list(zip(arguments[::2], arguments[1::2], strict=True)))


def _of_lines(lines: Iterable[bytes], pair: bool) -> Iterator[Text]:
    for number, line in enumerate(lines, start=1):
        if number == 1 and line.startswith(UTF16):
            raise InputError("standard input is UTF-16, not UTF-8; convert it, as with iconv")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as e:
            what = f"byte {e.start} ({line[e.start]:#04x}) is not UTF-8"
            raise InputError(f"standard input:{number}: {what}; convert it, as with iconv") from e
        text = text.removesuffix("\n").removesuffix("\r")
        if not pair:
            yield text
            continue
        first, tab, second = text.partition("\t")
        if not tab:
            raise InputError(f"standard input:{number}: {shown(text)} has no tab; give two texts, a tab between")
        yield first, second
