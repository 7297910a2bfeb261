"""From whatever holds examples to checked rows, one concern a file. What a task is belongs to `task`.

`sources` opens a file, folder or hub data set as a `table`; `delimited`, `json_rows`, `arrow` and `conll` know the
formats. `columns` finds what each column is for, `rows` checks every row, `spans` turns character positions into words
with BIO tags, `labels` finds the class id of every label. Whole files are put together one room up, in `task/`:
`tagging` tells how words and tags are laid out, `tags` which scheme they follow, `loaded` joins rows and label names.
The rest of edgepack calls `edgepack.task.examples`.
"""
