"""Settings: what there is, and how they are read."""
