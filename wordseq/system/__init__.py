"""Operating system and TensorFlow: files, locks, signals, processes, the machine."""
