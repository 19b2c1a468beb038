"""Pairs to score are read as the data of the run."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from wordseq.config.data import DataConfig
from wordseq.evaluation.given import read_pairs_to_score

TABLE = "id\tfrench\tenglish\n1\tUne vache\tA Cow\n2\tUne vache\tA Cow\n"


@pytest.mark.parametrize(
    ("settings", "source", "target"),
    [
        ({"src_column": "french", "tgt_column": "english"}, "Une vache", "A Cow"),
        ({"src_column": "french", "tgt_column": "english", "swap": True}, "A Cow", "Une vache"),
        ({"src_column": "3", "tgt_column": "2", "header": "yes", "lowercase": True}, "a cow", "une vache"),
        # What limits training leaves all pairs.
        ({"src_column": "french", "tgt_column": "english", "max_chars": 3, "max_pairs": 1}, "Une vache", "A Cow"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "trained_on", [{"corpus": "phrasebook"}, {"train": "a.src,a.tgt", "dev": "b.tsv", "test": "c.tsv"}]
)
def test_pairs_are_read_with_the_settings_of_the_runs_data(tmp_path: Path, settings, source, target, trained_on):
    path = tmp_path / "pairs.tsv"
    path.write_text(TABLE, encoding="utf-8")
    run = SimpleNamespace(config=SimpleNamespace(data=DataConfig(**settings, **trained_on)))
    found = read_pairs_to_score(run, path, say=lambda line: None)
    assert (found.sources, found.references) == ([source] * 2, [[target]] * 2)
