"""Sentence pairs: sources, readers, cleaning, leak-free splits."""
