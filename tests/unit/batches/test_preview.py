"""What `wordseq data show` prints."""

import json

from wordseq.batches.preview import preview
from wordseq.config.load import load_config


def test_text_and_json_have_the_same_figures(tmp_path):
    long = "a very long sentence that no terminal of 40 columns holds"
    lines = [f"Cow {k}, {long}.\tVache {k}." for k in range(30)]
    (tmp_path / "pairs.tsv").write_text(
        "\n".join([*lines, lines[0], "\tno source", "one word\tвечер"]), encoding="utf-8"
    )
    settings = {
        "data.train": str(tmp_path / "pairs.tsv"),
        "data.tgt_level": "char",
        "data.min_freq": 1,
        "data.rare_words": "unk",
    }
    found = preview(load_config(None, (), settings).data, None, lambda line: None)

    figures = json.loads(json.dumps(found.to_dict()))
    assert (figures["format"], figures["pairs"], figures["duplicates"]) == ("TSV", 31, 1)
    assert figures["first"] == [line.split("\t") for line in lines[:5]]
    assert figures["levels"] == {"src": "word", "tgt": "char"}
    assert figures["scripts"]["tgt"]["Latin"] >= 24

    text = str(found)
    assert f"  source  Cow 0, {long}.\n  target  Vache 0.\n" in text
    assert "pairs: 33 lines; dropped: 1 with an empty source or target, 1 duplicate; kept 31 pairs" in text
    assert "data.dev_size and data.test_size: 3 sources each, a tenth of all" in text
    sizes = figures["lengths"]["tgt"]
    assert f"target (char){sizes['median']:13}{sizes['99%']:8}{sizes['longest']:9}  Latin" in text
    assert text.endswith("nothing looks wrong")

    settings |= {"data.min_freq": 2, "data.rare_words": "spell"}
    spelled = preview(load_config(None, (), settings).data, None, lambda line: None)
    (line,) = [line for line in spelled.lines if "spells" in line]
    assert line.startswith("source: spells ")
    assert " of train words and " in line
    assert spelled.lengths["src"]["longest"] > found.lengths["src"]["longest"]

    narrow = found.show(40)
    assert f"  source  {f'Cow 0, {long}.'[:27]}...\n" in narrow
    # Only the table keeps its width, and what has no space in it.
    assert all(
        len(line) <= 40 for line in narrow.splitlines() if "/" not in line and "99" not in line and "(" not in line
    )
    assert "".join(narrow.split()).endswith("".join(text.split())[-200:])
