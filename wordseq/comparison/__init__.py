"""Compares runs: tables, sweeps, the HTML page."""
