"""Padded batches of ids, and the preparation of corpora of any size as ids on disk."""
