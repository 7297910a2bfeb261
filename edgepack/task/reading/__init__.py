"""From whatever holds examples to checked rows, one concern a file. What a task is belongs to `metric`.

`sources` opens a file, folder or hub data set as a `table`; `delimited`, `json_rows`, `arrow` and `conll` know the
formats. `columns` finds what each column is for and `tagging` how words and tags are laid out; `rows` checks every row,
`spans` and `tags` turn annotations into words with BIO tags, `labels` finds the class id of every label. `loaded`
puts a source's rows and the names of its labels together. The rest of edgepack calls `edgepack.task.examples`.
"""
