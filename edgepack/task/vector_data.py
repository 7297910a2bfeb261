"""Data of a model that embeds texts: texts to train on, and pairs with scores, a search, or texts to measure on.

Training needs no labels: any file with a text column, both texts of pairs, or a `.txt` file with a text on each line.
What is measured follows from what the evaluation data hold (`similarity.py`):

- two texts and a score in each row: `pairs`;
- a folder with `corpus`, `queries` and `qrels`, the layout of BEIR (Thakur et al. 2021, arXiv:2104.08663): `queries`;
- texts alone, or none, when some of the training texts are held out: `teacher`.

Every text is an example of its own. Of pairs the two follow each other, and both have the score as their label. Of a
search the queries come first; a query's label are its documents' places and what each is worth, one after the other.

A teacher's prompts are written before the texts here: the query's before queries, the other before all else. Training
texts have the two by turns, since a student is asked both kinds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import InputError, shown
from edgepack.task.dataset import Dataset, Example
from edgepack.task.reading.columns import LABELS, PAIRS, TEXTS, Columns, Recorded, choose, find, of_lines, text_columns
from edgepack.task.reading.rows import read_texts
from edgepack.task.reading.sources import BINARIES, is_text_file, open_lines, open_table
from edgepack.task.reading.table import Note, Table, listed
from edgepack.task.similarity import NO_PROMPTS, Judged, Prompts
from edgepack.task.task import Task

SCORES = ("score", "similarity", "similarity_score", "relatedness_score", "relatedness")
IDS = ("id", "_id", "docid", "doc_id", "query_id", "qid")
TITLES = ("title",)
QUERY_IDS = ("query_id", "query-id", "qid", "query")
DOCUMENT_IDS = ("doc_id", "corpus-id", "corpus_id", "docid", "document_id", "pid")
RELEVANCE = ("relevance", "score", "rel", "label", "gain", "grade", "relevance_code")
FIRST_IS_BEST = "relevance_code"  # Cranfield's: 1 is the best, larger ones are worse
CORPUS, QUERIES, JUDGMENTS = ("corpus", "documents"), ("queries",), ("qrels", "judgments", "qrels/test", "qrels/dev")
SUFFIXES = (".jsonl", ".tsv", ".csv", ".json", *BINARIES)
HELD_OUT, MOST_HELD_OUT, FEWEST_HELD_OUT = 0.1, 1_000, 20  # of the training texts, where no other data are given
FEWEST_OBSERVATIONS = 3  # pairs: of fewer there is no correlation
MOST_JUDGED = 200_000_000  # documents times queries: cells of the labels
LARGEST_GAIN = 100
SEED = 0


def has_labels(source: str, columns: Columns) -> bool:
    """Whether a file of training data has a column that classes or tags stand in: then it is for another task."""
    if is_text_file(source) or _search_file(source, CORPUS) is not None:
        return False
    table = open_table(source)
    return columns.label is not None or find(table, LABELS) is not None


def read_vector_data(train: str, evaluation: str | None, task: Task, columns: Columns) -> tuple[Task, Dataset, Dataset]:
    """The task with what it is judged by, the training texts, and the evaluation data."""
    texts = read_training_texts(train, columns)
    if evaluation is None:
        refuse_label_column(columns, train)
        texts, held_out = _hold_out(texts)
        task = replace(task, judged="teacher")
        return task, by_turns(texts, task.prompts), prompted(held_out, "teacher", task.prompts)
    if train == evaluation:
        raise InputError(f"train and eval are the same data ({train}); evaluate on texts held out, or leave --eval out")
    judged, data = read_judged(evaluation, columns)
    known = {example.text for example in texts.examples}
    shared = sum(example.text in known for example in data.examples)
    if shared:
        said = f"{shared} of {len(data)} evaluation texts also stand in the training data"
        texts = replace(texts, notes=(*texts.notes, Note(said, warning=True)))
    task = replace(task, judged=judged)
    check_vectors(data, task)
    return task, by_turns(texts, task.prompts), prompted(data, judged, task.prompts)


def by_turns(texts: Dataset, prompts: Prompts) -> Dataset:
    """Training texts behind the prompts of texts and of queries, in turn."""
    write = (prompts.of_text, prompts.of_query)
    examples = (each._replace(text=write[number % 2](each.text)) for number, each in enumerate(texts.examples))
    return texts if prompts == NO_PROMPTS else replace(texts, examples=tuple(examples))


def prompted(data: Dataset, judged: Judged, prompts: Prompts) -> Dataset:
    """Evaluation data behind their prompts: a search's queries, which have judgments, and all other texts."""
    examples = (
        each._replace(text=(prompts.of_query if judged == "queries" and each.label else prompts.of_text)(each.text))
        for each in data.examples
    )
    return data if prompts == NO_PROMPTS else replace(data, examples=tuple(examples))


def read_training_texts(source: str, columns: Columns) -> Dataset:
    """Every text of a source once, in its order; blank ones are left out."""
    folder = _search_file(source, CORPUS)
    if folder is not None:
        table, texts = open_table(str(folder)), [text for _, text in _documents(open_table(str(folder)))]
    else:
        table = open_lines(source) if is_text_file(source) else open_table(source)
        texts = [text for text, *pair in _rows(table, columns) for text in (text, *pair)]
    kept = list(dict.fromkeys(text for text in texts if text.strip()))
    notes = table.notes
    if len(kept) < len(texts):
        said = f"{source}: {len(texts) - len(kept)} of {len(texts)} texts are blank or repeat an earlier one: left out"
        notes = (*notes, Note(said))
    if not kept:
        raise InputError(f"{source}: no text in it; texts to train on are needed")
    examples = tuple(Example(text, None, None, 0) for text in kept)
    return Dataset(examples, source, table.sha256 or hash_texts(kept), notes)


def read_judged(source: str, columns: Columns) -> tuple[Judged, Dataset]:
    """Evaluation data, and what they can be judged by."""
    if Path(source).is_dir() and _search_file(source, QUERIES) is not None:
        refuse_label_column(columns, source)
        return "queries", read_search(source)
    plain = is_text_file(source)
    table, columns = (open_lines(source), of_lines(columns)) if plain else (open_table(source, "validation"), columns)
    pair = _is_paired(table, columns)
    score = columns.label or find(table, (*SCORES, *(LABELS if pair else ())))
    if pair and score is not None:
        return "pairs", _scored_pairs(table, score, columns)
    refuse_label_column(columns, source)
    texts = list(dict.fromkeys(text for row in _rows(table, columns) for text in row if text.strip()))
    if not texts:
        raise InputError(f"{source}: no text in it; texts to measure on are needed")
    examples = tuple(Example(text, None, None, 0) for text in texts)
    notes = table.notes
    if pair:
        said = (
            f"{source}: has pairs and no column of scores is found ({listed(table.columns)}), so each text is compared"
        )
        notes = (*notes, Note(f"{said} with the teacher's vector of it; --label-column names scores"))
    return "teacher", Dataset(examples, source, table.sha256 or hash_texts(texts), notes)


def refuse_label_column(columns: Columns, source: str) -> None:
    """`InputError` for a column of scores that the user names, of data without pairs."""
    if columns.label is not None and not isinstance(columns.label, Recorded):
        raise InputError(
            f"{source}: --label-column {shown(columns.label)} is of scored pairs, and no pairs are found in it: name "
            "the columns of the two texts with --text-column and --pair-column, or leave it out"
        )


def check_vectors(data: Dataset, task: Task) -> None:
    """Refuse evaluation data on which no figure says anything."""
    labels = [example.label for example in data.examples]
    if task.judged == "pairs":
        pairs = len(labels) // 2
        if pairs < FEWEST_OBSERVATIONS or len(set(labels)) < 2:
            raise InputError(
                f"{data.source}: {pairs} pairs with {len(set(labels))} different scores; {FEWEST_OBSERVATIONS} pairs "
                "or more, and scores that differ, are needed"
            )


def hash_texts(texts: Iterable[str]) -> str:
    """sha256 of texts, each with its length."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _hold_out(texts: Dataset) -> tuple[Dataset, Dataset]:
    """Training texts, and a seeded part of them to measure on."""
    count = min(MOST_HELD_OUT, round(HELD_OUT * len(texts)))
    if count < FEWEST_HELD_OUT:
        least = round(FEWEST_HELD_OUT / HELD_OUT)
        raise InputError(
            f"{texts.source}: {len(texts)} texts, of which too few can be held out to measure on; give at least "
            f"{least} texts, or data to measure on with --eval"
        )
    order = np.random.default_rng(SEED).permutation(len(texts))
    parts = [tuple(texts.examples[i] for i in np.sort(part)) for part in (order[count:], order[:count])]
    said = f"{texts.source}: {count} of {len(texts)} texts are held out to measure on, since there is no --eval"
    kept = replace(texts, examples=parts[0], notes=(*texts.notes, Note(said)))
    held_out = Dataset(parts[1], f"{texts.source}, held out", hash_texts(example.text for example in parts[1]))
    return kept, held_out


def _is_paired(table: Table, columns: Columns) -> bool:
    """Whether rows hold two texts: as the user says, or by well-known names."""
    if columns.pair is not None:
        return True
    return columns.text is None and any(find(table, (a,)) and find(table, (b,)) for a, b in PAIRS)


def _rows(table: Table, columns: Columns) -> Iterator[tuple[str, ...]]:
    """The one or two texts of each row."""
    text, pair = text_columns(table, _is_paired(table, columns), columns)
    for row in read_texts(table, text, pair):
        yield (row.text,) if row.pair is None else (row.text, row.pair)


def _scored_pairs(table: Table, score: str, columns: Columns) -> Dataset:
    """Pairs as two examples each, both with the score."""
    text, pair = text_columns(table, True, columns)
    choose(table, "score", "--label-column", score, SCORES)
    scores = [_number(where, score, value) for where, (value,) in table.rows((score,))]
    rows = read_texts(table, text, pair)
    examples = tuple(
        Example(each, None, None, number)
        for row, number in zip(rows, scores, strict=True)
        for each in (row.text, str(row.pair))
    )
    digest = table.sha256 or hash_texts(f"{example.text}\t{example.label}" for example in examples)
    return Dataset(examples, table.source, digest, table.notes)


def _number(where: str, column: str, value: Any) -> float:
    """A finite score."""
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: column {shown(column)} holds {shown(value)}; a number is needed")
    return number


def read_search(source: str) -> Dataset:
    """A folder of documents, queries and judgments; queries that no document is worth anything for are left out."""
    tables = {names[0]: _table(source, names) for names in (CORPUS, QUERIES, JUDGMENTS)}
    documents = dict(_documents(tables["corpus"]))
    queries = dict(_documents(tables["queries"]))
    worth, notes = _judgments(tables["qrels"], documents, queries)
    asked = [number for number in queries if number in worth]
    if not asked:
        raise InputError(f"{source}: no judgment names a query and a document that are both there")
    if len(asked) * len(documents) > MOST_JUDGED:
        raise InputError(
            f"{source}: {len(documents):,} documents and {len(asked):,} queries; at most {MOST_JUDGED:,} pairs of them "
            "are ranked: give a part of the documents or queries"
        )
    if len(asked) < len(queries):
        notes = (*notes, Note(f"{source}: {len(queries) - len(asked)} queries have no relevant document: left out"))
    place = {number: len(asked) + i for i, number in enumerate(documents)}
    examples = [
        Example(
            queries[number], None, None, tuple(x for document, gain in worth[number] for x in (place[document], gain))
        )
        for number in asked
    ]
    examples += [Example(text, None, None, ()) for text in documents.values()]
    sha256 = hashlib.sha256("".join(table.sha256 for table in tables.values()).encode()).hexdigest()
    return Dataset(tuple(examples), source, sha256, notes)


def _search_file(source: str, names: Sequence[str]) -> Path | None:
    """The file of a search folder that has one of these names."""
    folder = Path(source)
    found = [folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES]
    return next((path for path in found if path.is_file()), None)


def _table(source: str, names: Sequence[str]) -> Table:
    path = _search_file(source, names)
    if path is None:
        wanted = ", ".join(f"{name}{SUFFIXES[0]}" for name in names)
        raise InputError(
            f"{source}: no file {wanted} (or {', '.join(SUFFIXES[1:])}) in the folder, which a search needs"
        )
    return open_table(str(path))


def _documents(table: Table) -> list[tuple[str, str]]:
    """Ids and texts; a title stands before its text, unless that begins with it."""
    number = choose(table, "id", "the header", None, IDS)
    text, title = choose(table, "text", "--text-column", None, TEXTS), find(table, TITLES)
    found: dict[str, str] = {}
    for where, (key, *values) in table.rows([number, text, *([title] if title else [])]):
        body, head = (str(value or "") for value in (*values, *([] if title else [""])))
        if str(key) in found:
            raise InputError(f"{where}: the id {shown(str(key))} stands there twice; each needs one of its own")
        found[str(key)] = body if body.lower().startswith(head.lower()) else f"{head} {body}"
    return list(found.items())


def _judgments(
    table: Table, documents: dict[str, str], queries: dict[str, str]
) -> tuple[dict[str, list[tuple[str, int]]], tuple[Note, ...]]:
    """What documents are worth, by query; gains from 1 on."""
    query = choose(table, "query id", "the header", None, QUERY_IDS)
    document = choose(table, "document id", "the header", None, DOCUMENT_IDS)
    relevance = choose(table, "relevance", "the header", None, RELEVANCE)
    rows, unknown = list[tuple[str, str, int]](), 0
    for where, (one, other, value) in table.rows((query, document, relevance)):
        gain = _number(where, relevance, value)
        if gain != int(gain) or abs(gain) > LARGEST_GAIN:
            raise InputError(f"{where}: {relevance} is {shown(value)}; a whole number up to {LARGEST_GAIN} is needed")
        if str(one) in queries and str(other) in documents:
            rows.append((str(one), str(other), int(gain)))
        else:
            unknown += 1
    notes = [Note(f"{table.source}: {unknown} judgments are of queries or documents that are not there")] * bool(
        unknown
    )
    if relevance == FIRST_IS_BEST and rows:
        worst = max(gain for _, _, gain in rows)
        rows = [(one, other, worst + 1 - gain) for one, other, gain in rows]
        notes.append(Note(f"{table.source}: {FIRST_IS_BEST} 1 is read as the best, worth {worst}, and {worst} as 1"))
    worth: dict[str, dict[str, int]] = {}
    for one, other, gain in rows:
        if gain > 0:
            worth.setdefault(one, {})[other] = max(gain, worth.get(one, {}).get(other, 0))
    return {key: list(gains.items()) for key, gains in worth.items()}, tuple(notes)
