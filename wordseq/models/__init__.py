"""Models: cells, recurrence, attention, losses."""
