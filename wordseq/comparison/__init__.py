"""Runs side by side: tables, sweeps, the page."""
