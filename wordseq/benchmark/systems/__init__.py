"""The systems that a benchmark measures, each served by a child process."""
