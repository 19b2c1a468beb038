"""Writes the file of the phrasebook, always with the same bytes."""

import gzip
from pathlib import Path

from grammar import sentence_pairs

FILE = Path(__file__).parents[3] / "wordseq" / "data" / "phrasebook.tsv.gz"

if __name__ == "__main__":
    lines = [f"{english}\t{french}\n" for english, french in sentence_pairs()]
    # mtime=0: a time stamp would change the bytes.
    with gzip.GzipFile(FILE, "wb", compresslevel=9, mtime=0) as file:
        file.write("".join(lines).encode())
    print(f"{FILE}: {len(lines):,} pairs, {FILE.stat().st_size:,} bytes")
