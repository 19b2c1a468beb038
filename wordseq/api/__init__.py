"""The Python interface: what `import wordseq` offers, each part loaded when it is first used."""
