"""What a task is: labels and metric, its examples, these as tokens. Checkpoints belong to `teacher`."""
