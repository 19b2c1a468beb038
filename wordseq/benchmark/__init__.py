"""Speed of training and decoding, beside stock Keras layers and PyTorch on the same batches in one run.

`measure` computes the figures, without TensorFlow. `processes` starts one child process per system and lets them compute in
turn, one block each. `worker` runs in the child and serves one of `systems`. `peak` measures the machine's fastest product.
"""
