"""File readers, one module for each format."""
