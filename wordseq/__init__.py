"""Recurrent sequence-to-sequence models on sentence pairs."""
