"""Writes the tables of README.md, experiments/README.md and docs/speed.md from the records in experiments.

python experiments/tables.py            # rewrite the tables
python experiments/tables.py --check    # exit with 1 if one is not what the records give

A table stands between two marks that name it: `results`, of all single runs in results/*.json; a file there that was made by
`wordseq sweep --record FILE` or `wordseq compare --record FILE`; or a file of speed/*.json, made by `wordseq bench --record
FILE`. Without a record it is empty; a record without a place is an error.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wordseq.benchmark.tables import bench_table, grow_table, parts_table
from wordseq.comparison.record import COMPARISON, combinations_table
from wordseq.evaluation.records import read_records, results_table

HERE = Path(__file__).resolve().parent
PAGES = (HERE.parent / "README.md", HERE / "README.md", HERE.parent / "docs" / "speed.md")
MARKS = re.compile(r"(<!-- (\w+): written by experiments/tables\.py -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def tables_of(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Markdown by the name of the table."""
    runs = [record for record in records if "kind" not in record]
    found = {record["experiment"]: combinations_table(record) for record in records if record.get("kind") == COMPARISON}
    return {**found, "results": results_table(runs)}


def speed_tables(paths: Sequence[Path]) -> dict[str, str]:
    """What `wordseq bench` printed, by the name of its record."""
    tables = {}
    for path in paths:
        record = json.loads(path.read_text(encoding="utf-8"))
        show = grow_table if "grow" in record else bench_table if "ratios" in record else parts_table
        tables[path.stem] = f"```\n$ {record['command']}\n{show(record)}```\n"
    return tables


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """The page with each table between its marks."""
    if not MARKS.search(page):
        raise ValueError("no marks of a table in the page")

    def written(match: re.Match[str]) -> str:
        table = tables.get(match[2], "")
        return match[1] + (f"\n{table}\n" if table else "") + match[3]

    return MARKS.sub(written, page)


def main() -> int:
    """Rewrite, or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a table is not what the records give")
    check = parser.parse_args().check
    tables = tables_of(read_records(sorted((HERE / "results").glob("*.json"))))
    tables |= speed_tables(sorted((HERE / "speed").glob("*.json")))
    stale = []
    lost = set(tables)
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        lost -= {match[2] for match in MARKS.finditer(old)}
        new = with_tables(old, tables)
        if new != old:
            stale.append(str(page.relative_to(HERE.parent)))
            if not check:
                page.write_text(new, encoding="utf-8")
    print(f"{'stale' if check else 'written'}: {', '.join(stale) or 'none'}")
    if lost:
        print(f"no page has marks for: {', '.join(sorted(lost))}")
    return int(bool(lost) or (check and bool(stale)))


if __name__ == "__main__":
    sys.exit(main())
