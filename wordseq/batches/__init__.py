"""Ids to padded batches, and corpora of any size prepared as ids on disk."""
