"""`wordseq data`: show what is read from a file, list the corpora or download one."""

import argparse
import json
import shutil
import sys
from typing import Any

from wordseq.cli.options import add_command, add_json, add_mirror, add_set, named_data, note
from wordseq.config.load import load_config
from wordseq.system.errors import UserError


def add(commands: Any) -> None:
    """Add `data` to the commands."""
    listing, getting, showing = "wordseq data list", "wordseq data get tatoeba-fra-eng", "wordseq data show pairs.csv"
    parser = add_command(
        commands, "data", _list, "show what is read from a file, list the corpora or download one", (showing, listing)
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = add_command(
        actions,
        "show",
        _show,
        "show what would be read: format, columns, first pairs, counts, lengths, scripts, what looks wrong",
        (showing, "wordseq data show export.tsv --set data.src_column=2 --set data.tgt_column=4"),
    )
    show.add_argument(
        "config",
        metavar="DATA",
        help="a file of pairs, a folder or archive, two parallel files as SRC,TGT, or the name of a corpus (required)",
    )
    add_set(show)
    add_json(show)
    add_mirror(show)
    add_command(
        actions, "list", _list, "list the corpora that data.corpus may name", (listing, f"{listing} | grep multi30k")
    )
    get = add_command(
        actions,
        "get",
        _get,
        "download a public corpus into data/NAME",
        (getting, "wordseq data get multi30k-de-en --mirror corpora"),
    )
    get.add_argument("name", metavar="NAME", help="name of the corpus; `wordseq data list` prints the names (required)")
    add_mirror(get)


def _show(options: argparse.Namespace) -> None:
    from wordseq.batches.preview import preview

    named_data(options, presets_too=False)
    data = load_config(None, options.set).data
    found = preview(data, options.mirror, note if options.json else print)
    if options.json:
        print(json.dumps(found.to_dict(), ensure_ascii=False, indent=2))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    print(f"\n{found.show(width)}")


def _list(_: argparse.Namespace) -> None:
    from wordseq.data.public import DATASETS, OPEN_NAMES
    from wordseq.data.synthetic import SYNTHETIC

    rows = [(name, task.description, "synthetic") for name, task in SYNTHETIC.items()]
    rows += [(name, dataset.description, dataset.licence) for name, dataset in DATASETS.items()]
    width = max(len(name) for name, _, _ in rows)
    for name, description, licence in rows:
        print(f"{name:{width}}  {description} ({licence})")
    print(f"and {OPEN_NAMES}")


def _get(options: argparse.Namespace) -> None:
    from wordseq.data.public import DEFAULT_FOLDER, find_dataset, get
    from wordseq.data.synthetic import SYNTHETIC

    if options.name in SYNTHETIC:
        print(f"{options.name} is synthetic: there is nothing to download")
        return
    dataset = find_dataset(options.name)
    if dataset is None:
        raise UserError(f"unknown corpus {options.name!r}; `wordseq data list` prints the names")
    for parts in get(dataset, DEFAULT_FOLDER, options.mirror).values():
        for path in parts[0]:
            print(path)
