"""How fast training and decoding are, measured against stock Keras layers and PyTorch on the same batches in one run.

`measure` (no TensorFlow) works out the figures. `processes` starts each system as a child process, keeps it alive, and lets
one at a time compute, block by block in turn. `worker` is the child's end, `systems` are what it serves, `peak` measures
what the machine can do.
"""
