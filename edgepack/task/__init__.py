"""What a task is: labels and metric, its examples, and those as tokens. No model, no training, no files but data."""
