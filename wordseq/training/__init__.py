"""Training: the loop, the update, optimizers, data parallelism over several processes."""
