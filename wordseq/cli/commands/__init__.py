"""The commands, one a file: `add` puts its parser among the others."""
