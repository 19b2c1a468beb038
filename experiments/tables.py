"""Writes the tables of README.md and experiments/README.md from experiments/results/*.json.

python experiments/tables.py            # rewrite the tables
python experiments/tables.py --check    # exit with 1 if one is not what the records give

A table stands between two marks that name it: `results`, of all single runs; `comparisons`, all that were made by `wordseq
sweep --record FILE` or `wordseq compare --record FILE`; or one of these by its own name. Without a record it is empty.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wordseq.aggregate import COMPARISON, combinations_table
from wordseq.report import read_records, results_table

HERE = Path(__file__).resolve().parent
PAGES = (HERE.parent / "README.md", HERE / "README.md")
MARKS = re.compile(r"(<!-- (\w+): written by experiments/tables\.py -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def tables_of(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Markdown by the name of the table."""
    runs = [record for record in records if "kind" not in record]
    found = {record["experiment"]: combinations_table(record) for record in records if record.get("kind") == COMPARISON}
    listed = [f"### {name}\n\n{table}" for name, table in found.items()]
    return {**found, "results": results_table(runs), "comparisons": "\n".join(listed)}


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """The page with each table between its marks."""
    if not MARKS.search(page):
        raise ValueError("no marks of a table in the page")

    def written(match: re.Match[str]) -> str:
        table = tables.get(match[2], "")
        return match[1] + (f"\n{table}\n" if table else "") + match[3]

    return MARKS.sub(written, page)


def main(arguments: list[str]) -> int:
    """Rewrite, or compare."""
    tables = tables_of(read_records(sorted((HERE / "results").glob("*.json"))))
    stale = []
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        new = with_tables(old, tables)
        if new != old:
            stale.append(page.name)
            if "--check" not in arguments:
                page.write_text(new, encoding="utf-8")
    print(f"{'stale' if '--check' in arguments else 'written'}: {', '.join(stale) or 'none'}")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
