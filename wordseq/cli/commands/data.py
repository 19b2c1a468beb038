"""`wordseq data`: list the corpora or download one."""

import argparse
from typing import Any

from wordseq.cli.options import add_command, add_mirror
from wordseq.system.errors import UserError


def add(commands: Any) -> None:
    """Add `data` to the commands."""
    listing, getting = "wordseq data list", "wordseq data get tatoeba-fra-eng"
    parser = add_command(commands, "data", _list, "list the corpora or download one", (listing, getting))
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
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
    for path in get(dataset, DEFAULT_FOLDER, options.mirror).values():
        print(path)
