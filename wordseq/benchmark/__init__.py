"""How fast training and decoding are, measured against stock Keras layers and PyTorch on the same batches in one run.

`measure` (no TensorFlow) starts each system as a child process of its own, keeps it alive, and lets one at a time compute,
block by block in turn. `serving` is the child's side; `ours`, `stock`, `peer_torch` are the systems, `peak` measures what the
machine can do.
"""
