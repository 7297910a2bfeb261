"""What the README's tables are made with. `python -m benchmarks NAME …`; each prints a table, then one JSON line."""
