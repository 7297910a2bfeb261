"""An app's tokenizer file with its reader, and the tokenizers library. A teacher's tokenizer belongs to `teacher`."""
