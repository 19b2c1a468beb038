"""Training: the loop, one update, optimizers, several processes."""
