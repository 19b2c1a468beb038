"""The systems that a benchmark measures; each runs in its own child process."""
