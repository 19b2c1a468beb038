"""Writes the tables of results in README.md and experiments/README.md from experiments/results/*.json.

python experiments/tables.py            # rewrite the tables
python experiments/tables.py --check    # exit with 1 if one is not what the records give
"""

import sys
from pathlib import Path

from wordseq.report import read_records, results_table

HERE = Path(__file__).resolve().parent
PAGES = (HERE.parent / "README.md", HERE / "README.md")
START, END = "<!-- results: written by experiments/tables.py -->", "<!-- end of results -->"


def with_table(page: str, table: str) -> str:
    """The page with the table between its marks."""
    head, start, rest = page.partition(START)
    _, end, tail = rest.partition(END)
    if not (start and end):
        raise ValueError(f"no {START!r} ... {END!r} in the page")
    return f"{head}{START}\n\n{table}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Rewrite, or compare."""
    table = results_table(read_records(sorted((HERE / "results").glob("*.json"))))
    stale = []
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        new = with_table(old, table)
        if new != old:
            stale.append(page.name)
            if "--check" not in arguments:
                page.write_text(new, encoding="utf-8")
    print(f"{'stale' if '--check' in arguments else 'written'}: {', '.join(stale) or 'none'}")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
