"""Search, forced decoding, and translating text of any size."""
