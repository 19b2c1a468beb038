"""Search, forced decoding, and translation of text of any size."""
