"""What the documentation's tables are made with. `python -m benchmarks NAME …`: a table, then one JSON line."""
