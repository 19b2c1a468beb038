"""Scores of translations, their significance, and how they are reported."""
