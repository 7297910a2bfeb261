"""The tokenizer file that an app loads, and its reference reader. Training's own tokenizer belongs to `teacher`."""
