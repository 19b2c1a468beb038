"""Run folders, checkpoints, and loading the model of a run."""
