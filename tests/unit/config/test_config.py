import dataclasses
import math
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordseq.config.data import DATA_FILES, LEVELS, DataConfig
from wordseq.config.fields import AUTO, Changes
from wordseq.config.load import PRESETS, config_from_dict, config_to_dict, load_config, presets, to_toml
from wordseq.config.schema import (
    AUTO_KEYS,
    ELEMENTWISE_CELLS,
    KIND_SETTINGS,
    SECTIONS,
    Config,
    ModelConfig,
    by_key,
    keys_that_change,
    without_chance,
)
from wordseq.data.sources import check_source
from wordseq.system.errors import UserError

ROOT = Path(__file__).parents[3]


def _write(folder: Path, text: str | bytes) -> Path:
    path = folder / "settings.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def assert_refused(values, *parts: str) -> None:
    """The error names the origin and has all of the parts."""
    with pytest.raises(UserError) as caught:
        config_from_dict(values, "mine.toml")
    message = str(caught.value)
    assert message.startswith("mine.toml: ")
    for part in parts:
        assert part in message, message


def _fields():
    return [(section, field) for section, kind in SECTIONS.items() for field in dataclasses.fields(kind)]


def _default_data() -> dict[str, str]:
    return {"corpus": "copy"}


# Defaults


def test_nothing_given_trains_on_the_phrasebook():
    config = load_config(None)
    assert config == config_from_dict({}, "nothing")
    assert config.data.corpus == "phrasebook"
    usual = by_key(Config()) | dict.fromkeys(AUTO_KEYS, AUTO) | {"data.corpus": "phrasebook"}
    assert by_key(config) == usual


def test_every_default():
    """By hand: another default changes every run that does not set the value, and makes it another than the published ones."""
    tables = {
        "data": {
            "corpus": "phrasebook",
            "level": "word",
            "min_freq": 2,
            "max_chars": 1000,
            "seed": 1,
        }
        | {"on_bad_line": "stop", "header": "auto", "src_form": "NFC", "tgt_form": "NFC"}
        | {"features_separator": ";"},
        "model": {"kind": "encoder_decoder", "cell": "gru"}
        | {"encoder_layers": 1, "decoder_layers": 1, "bidirectional": True, "bridge": "copy", "attention": "general"}
        | {"attention_map": "softmax", "features": "joined"}
        | {"embed_dropout": -1, "output_dropout": -1},
        "train": {"seed": 1, "optimizer": "adam"}
        | {"decay": 0.5, "decay_patience": 1, "clip_norm": 1, "precision": "auto"}
        | {"teacher_forcing": 1, "teacher_forcing_schedule": "constant", "teacher_forcing_decay": 1000}
        | {"save_minutes": 10, "log_steps": 100, "loss": "softmax"},
        "decode": {"beam_size": 1, "length_penalty": 1, "max_len_ratio": 2, "max_len_extra": 20, "batch_size": 128}
        | {"copy_unknown": True}
        | {"precision": "float32", "ensemble": "probabilities"},
        "eval": {"tokenize": "auto"},
    }
    expected = {f"{section}.{name}": value for section, table in tables.items() for name, value in table.items()}
    # By the data: tests/unit/config/test_auto.py.
    expected |= dict.fromkeys(AUTO_KEYS, AUTO)
    # All others are empty, 0 or false.
    assert {key: value for key, value in by_key(load_config(None)).items() if value} == expected


@pytest.mark.parametrize(("section", "field"), _fields(), ids=lambda part: getattr(part, "name", part))
def test_every_setting_has_a_description_and_a_default_that_is_allowed(section, field):
    assert field.metadata["doc"]
    assert "\n" not in field.metadata["doc"]
    # A whole number stands for a float.
    assert type(field.default) in ({int, float} if field.type is float else {field.type})
    config_from_dict({section: {field.name: field.default}}, "default")


def test_level_of_source_and_target():
    assert DataConfig(level="char").level_of("src") == DataConfig(level="char").level_of("tgt") == "char"
    mixed = DataConfig(level="char", src_level="bpe")
    assert (mixed.level_of("src"), mixed.level_of("tgt")) == ("bpe", "char")
    mixed = DataConfig(level="char", tgt_level="word")
    assert (mixed.level_of("src"), mixed.level_of("tgt")) == ("char", "word")


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().cell = "lstm"


# Errors


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"model": {"hiden_size": 8}}, ["unknown key model.hiden_size; did you mean 'model.hidden_size'?"]),
        ({"train": {"lerning_rate": 8}}, ["unknown key train.lerning_rate; did you mean 'train.learning_rate'?"]),
        ({"model": {"xyzzy": 8}}, ["unknown key model.xyzzy; choose from kind, cell, embed_dim,", "tie_embeddings"]),
        # A key of another section.
        ({"model": {"beam_size": 8}}, ["unknown key model.beam_size"]),
        ({"modle": {"cell": "gru"}}, ["unknown section [modle]; did you mean 'model'?"]),
        ({"xyzzy": {}}, ["unknown section [xyzzy]; choose from data, model, train, decode"]),
        ({"model": 3}, ["model must be a table of settings, got 3"]),
        ({"model": [{"cell": "gru"}]}, ["model must be a table of settings, got [{"]),
    ],
)
def test_unknown_names(values, parts):
    assert_refused(values, *parts)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"hidden_size": "8"}}, "model.hidden_size must be a whole number, got '8'"),
        ({"model": {"hidden_size": 8.0}}, "model.hidden_size must be a whole number, got 8.0"),
        ({"model": {"hidden_size": True}}, "model.hidden_size must be a whole number, got True"),
        ({"model": {"dropout": True}}, "model.dropout must be a number, got True"),
        ({"model": {"dropout": "0.1"}}, "model.dropout must be a number, got '0.1'"),
        ({"model": {"bidirectional": 1}}, "model.bidirectional must be true or false, got 1"),
        ({"model": {"bidirectional": "yes"}}, "model.bidirectional must be true or false, got 'yes'"),
        ({"data": {"train": True}}, "data.train must be text, got True"),
        ({"data": {"path": ["a"]}}, "data.train must be text, got ['a']"),
        ({"data": {"path": "a", "train": "b"}}, "data.train and data.path are the same setting; give one"),
    ],
)
def test_wrong_types(values, message):
    assert_refused(values, message)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"hidden_size": 0}}, "model.hidden_size = 0 must be at least 1"),
        ({"model": {"dropout": -0.1}}, "model.dropout = -0.1 must be at least 0 and at most 0.95"),
        ({"model": {"dropout": 1}}, "model.dropout = 1.0 must be at least 0 and at most 0.95"),
        ({"model": {"dropout": math.nan}}, "model.dropout = nan must be at least 0 and at most 0.95"),
        ({"train": {"learning_rate": math.nan}}, "train.learning_rate = nan must be at least 0"),
        ({"train": {"learning_rate": math.inf}}, "train.learning_rate must be a finite number, got inf"),
        ({"train": {"clip_norm": -math.inf}}, "train.clip_norm must be a finite number, got -inf"),
        ({"train": {"teacher_forcing": 1.5}}, "train.teacher_forcing = 1.5 must be at least 0 and at most 1"),
        ({"data": {"seed": -1}}, "data.seed = -1 must be at least 0"),
        ({"model": {"cell": "GRU"}}, "model.cell = 'GRU'; choose from 'gru', 'lstm'"),
        ({"data": {"level": ""}}, "data.level = ''; choose from 'char', 'word', 'bpe', 'unigram'"),
        ({"train": {"optimizer": "adm"}}, "train.optimizer = 'adm'; choose from 'adam'"),
    ],
)
def test_values_out_of_range(values, message):
    assert_refused(values, message)


@pytest.mark.parametrize(("section", "field"), _fields(), ids=lambda part: getattr(part, "name", part))
def test_every_bound_is_kept(section, field):
    low, high, choices = (field.metadata[name] for name in ("minimum", "maximum", "choices"))
    key = f"{section}.{field.name} = "
    if low is not None:
        assert_refused({section: {field.name: field.type(low) - 1}}, key, f"at least {low}")
    if high is not None:
        assert_refused({section: {field.name: field.type(high) + 1}}, key, f"at most {high}")
    if choices:
        assert_refused({section: {field.name: "nonsense"}}, key, *map(repr, choices))
    if field.type is float:
        assert low is not None, "NaN would pass"
        assert_refused({section: {field.name: math.nan}}, f"{section}.{field.name}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"corpus": "copy", "path": "a.tsv"}, "data.corpus and data.train exclude each other; set one of them"),
        ({"corpus": "copy", "train": "a"}, "data.corpus and data.train exclude each other"),
        ({"corpus": "copy", "dev": "x"}, "data.dev is set, so data.train must be set too"),
        ({"test": "x"}, "data.test is set, so data.train must be set too"),
        ({"train": "x", "encoding": "cp12521"}, "data.encoding = 'cp12521': unknown; for example utf-8"),
        ({"train": "x", "encoding": "rot13"}, "data.encoding = 'rot13': unknown"),
        ({"train": "x", "src_lang": "en"}, "data.tgt_lang must be set too"),
    ],
)
def test_sources_of_data(data, message):
    assert_refused({"data": data}, message)


def test_files_of_settings_go_with_them_when_a_corpus_is_chosen(tmp_path):
    path = tmp_path / "some.toml"
    path.write_text("[data]\n" + "".join(f'{key} = "x"\n' for key in DATA_FILES))
    data = load_config(path, ["data.corpus=copy"]).data
    assert (data.corpus, data.train, data.dev, data.test) == ("copy", "", "", "")
    data = load_config(path, ["data.train=y"]).data
    assert (data.train, data.dev, data.test) == ("y", "x", "x")


def test_names_that_are_equally_close_are_all_named():
    assert_refused({"model": {"layers": 4}}, "did you mean 'model.encoder_layers' or 'model.decoder_layers'?")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": {"pretokenized": True, "level": "bpe"}}, "data.pretokenized = true splits at spaces"),
        ({"data": {"pretokenized": True, "tgt_level": "char"}}, "data.level must be 'word' for source and target"),
        (
            {"data": {"pretokenized": True, "tgt_separator": "|"}},
            "data.pretokenized splits at spaces, data.tgt_separator elsewhere; set one of them",
        ),
        *(
            (
                {"data": {"level": "char", "tgt_level": level, "tgt_separator": " "}},
                f"data.tgt_separator = ' ' cuts the text into symbols, so data.tgt_level = {level!r} has no effect",
            )
            for level in ("char", "bpe", "unigram")
        ),
        (
            {"data": {"level": "char", "tgt_separator": " ", "src_separator": " "}},
            "data.level = 'char' has no effect: source and target are cut at their separators; remove it",
        ),
        *(
            (
                {"data": {"src_separator": separator}},
                f"data.src_separator = {separator!r}: a separator cannot have tabs, line ends or other invisible",
            )
            for separator in ("\t", "|\n", "\u00a0", "\u200d")
        ),
        *(
            (
                {"data": {"rare_words": "spell", **levels}},
                "data.rare_words = 'spell' has no effect: neither source nor target",
            )
            for levels in (
                *({"level": level} for level in ("char", "bpe", "unigram")),
                {"src_level": "char", "tgt_level": "bpe"},
                {"src_separator": " ", "tgt_separator": "|"},
                {"src_level": "char", "tgt_separator": " "},
            )
        ),
        ({"data": {"features_separator": ""}}, "it must be the string between two features, e.g. ';'"),
        ({"data": {"features_separator": "\t", "features_column": "3"}}, "a separator cannot have tabs"),
        (
            {"data": {"features_separator": "|"}},
            "data.features_separator = '|' has no effect: set data.features_column, or remove it",
        ),
        ({"data": {"features_column": "3", "swap": True}}, "with data.swap they would be those of the target"),
        ({"data": {"src_separator": "  "}}, "text is normalised first and has no two spaces in a row"),
        (
            {"data": {"src_separator": "X", "lowercase": True}},
            "data.src_separator = 'X' never occurs: texts are in lower case",
        ),
        ({"data": {"src_separator": "e\u0301"}}, "never occurs: texts are in Unicode NFC"),
        ({"model": {"attention": "none", "bridge": "zero"}}, "the decoder has no input from the source"),
        ({"model": {"hidden_size": 7}}, "model.hidden_size = 7 must be even when model.bidirectional is true"),
        ({"model": {"tie_embeddings": True, "embed_dim": 8, "hidden_size": 16}}, "got 8 and 16"),
        *(
            (
                {"model": {"cell": cell, "recurrent_dropout": 0.2}},
                f"recurrent_dropout = 0.2 must be 0 with model.cell = {cell!r}",
            )
            for cell in ELEMENTWISE_CELLS
        ),
        (
            {"data": {"share_vocab": True, "src_level": "char"}},
            "data.share_vocab needs one level for source and target, got 'char' and 'word'; set data.src_level and "
            "data.tgt_level alike",
        ),
        (
            {"data": {"share_vocab": True, "src_separator": " ", "tgt_separator": "|"}},
            "data.share_vocab needs one separator for source and target, got ' ' and '|'",
        ),
        (
            {"data": {"share_vocab": True, "tgt_form": "NFD"}},
            "data.share_vocab needs one form for source and target, got 'NFC' and 'NFD'; set data.src_form and data.tgt_form",
        ),
        ({"model": {"share_embeddings": True}}, "set data.share_vocab = true, or remove it"),
        (
            {
                "data": {"share_vocab": True},
                "model": {"share_embeddings": True, "pretrained_src": "v", "pretrained_tgt": "w"},
            },
            "model.share_embeddings has one matrix: set model.pretrained_src or model.pretrained_tgt, not both",
        ),
        (
            {
                "data": {"share_vocab": True},
                "model": {"share_embeddings": True, "pretrained_src": "v", "freeze_pretrained": True}
                | {"tie_embeddings": True, "embed_dim": 16, "hidden_size": 16},
            },
            "set model.freeze_pretrained = false, or remove model.pretrained_src",
        ),
        *(
            (
                {"model": {key: -0.5}},
                f"model.{key} = -0.5 must be -1, which stands for model.dropout, or from 0 to 0.95",
            )
            for key in ("embed_dropout", "output_dropout")
        ),
        (
            {"model": {"context_dropout": 0.2, "attention": "none"}},
            "model.context_dropout = 0.2 needs attention, but model.attention is 'none'",
        ),
        (
            {"model": {"input_feeding": True, "attention": "none"}},
            "model.input_feeding = true needs attention, but model.attention is 'none'",
        ),
        (
            {"model": {"attention": "none", "features": "separate"}, "data": {"features_column": "3"}},
            "model.features = \"separate\" needs attention, but model.attention is 'none'",
        ),
        ({"model": {"features": "separate"}}, "'separate' reads features of sources: set data.features_column"),
        (
            {"model": {"attention": "none", "copy": True}},
            "model.copy = true needs attention, but model.attention is 'none'",
        ),
        (
            {"model": {"copy": True}, "train": {"loss": "entmax15"}},
            "model.copy mixes the source's tokens with a softmax, so train.loss must be 'softmax', got 'entmax15'",
        ),
        (
            {"model": {"kind": "same_length", "attention": "none", "copy": True}},
            "model.kind = 'same_length' needs model.copy = false, got true",
        ),
        (
            {"model": {"attention": "none", "attention_map": "sparsemax"}},
            "model.attention_map = \"sparsemax\" needs attention, but model.attention is 'none'",
        ),
        (
            {"model": {"kind": "repeat_vector", "attention": "dot"}},
            'model.kind = \'repeat_vector\' needs model.attention = "none", got "dot"',
        ),
        (
            {"model": {"kind": "same_length", "decoder_layers": 2}},
            "model.kind = 'same_length' needs model.decoder_layers = 1, got 2",
        ),
        (
            {"model": {"kind": "same_length"}, "train": {"teacher_forcing": 0.5}},
            "model.kind = 'same_length' has no token input, so train.teacher_forcing must be 1.0, got 0.5",
        ),
        (
            {"train": {"subword_sampling": 0.1}},
            "train.subword_sampling = 0.1 draws subwords, so data.level must be 'bpe' or 'unigram' for source or target",
        ),
        (
            {"data": {"level": "bpe"}, "model": {"kind": "same_length"}, "train": {"subword_sampling": 0.1}},
            "changes the number of tokens, which must be the same for model.kind = 'same_length'",
        ),
        (
            {"train": {"teacher_forcing_schedule": "linear"}},
            "train.teacher_forcing_schedule = 'linear' falls from 1 to train.teacher_forcing, so ",
        ),
        (
            {"train": {"teacher_forcing": 0.5, "teacher_forcing_decay": 50}},
            "train.teacher_forcing_decay has no effect with schedule 'constant'; "
            "set train.teacher_forcing_schedule or remove it",
        ),
    ],
)
def test_settings_that_do_not_go_together(values, message):
    assert_refused(values, message)
    # With a source named, they are checked all the same.
    assert_refused({**values, "data": {**_default_data(), **values.get("data", {})}}, message)


@pytest.mark.parametrize(
    "values",
    [
        {"data": {"pretokenized": True}},
        {"data": {"share_vocab": True, "features_column": "3"}, "model": {"share_embeddings": True}},
        {"data": {"tgt_level": "unigram"}, "train": {"subword_sampling": 0.1}},
        {"data": {"share_vocab": True, "level": "char", "src_level": "bpe", "tgt_level": "bpe"}},
        {"data": {"level": "char", "tgt_separator": " "}},
        {"data": {"rare_words": "spell", "pretokenized": True}},
        {"data": {"rare_words": "spell", "src_level": "bpe"}},
        {"data": {"rare_words": "spell", "level": "char", "tgt_level": "word", "src_separator": "|"}},
        {"data": {"src_separator": " ", "tgt_separator": " @@"}},
        {"data": {"features_column": "msd", "features_separator": "+"}},
        {"data": {"src_level": "word", "src_separator": "X", "tgt_level": "bpe"}},
        {"data": {"pretokenized": True, "level": "bpe", "src_level": "word", "tgt_level": "word"}},
        {"model": {"hidden_size": 7, "bidirectional": False}},
        {"model": {"attention": "none", "bridge": "dense"}},
        {"model": {"tie_embeddings": True, "embed_dim": 16, "hidden_size": 16}},
        {"model": {"pretrained_src": "v", "freeze_pretrained": True}},
        {"model": {"pretrained_tgt": "v", "freeze_pretrained": True}},
        {"model": {"pretrained_src": "v", "pretrained_tgt": "w", "freeze_pretrained": True}},
        {
            "model": {
                "pretrained_src": "v",
                "freeze_pretrained": True,
                "tie_embeddings": True,
                "embed_dim": 16,
                "hidden_size": 16,
            }
        },
    ],
)
def test_settings_that_do(values):
    config = config_from_dict(values, "here")
    for section, table in values.items():
        for name, value in table.items():
            assert getattr(getattr(config, section), name) == value


def test_a_whole_number_stands_for_a_float():
    rate = config_from_dict({"train": {"learning_rate": 1}}, "here").train.learning_rate
    assert (rate, type(rate)) == (1.0, float)


# Files


def test_a_file_is_read(tmp_path):
    text = '# A comment\n[model]\ncell = "lstm"  # another\n[train]\nlearning_rate = 1e-3\n'
    for prefix in (b"", b"\xef\xbb\xbf"):  # with a byte-order mark too
        config = load_config(_write(tmp_path, prefix + text.encode()))
        assert (config.model.cell, config.train.learning_rate) == ("lstm", 0.001)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b'[model]\ncell = "gru\n', ["not valid TOML", "line 2"]),
        (b"[model]\n\n\ncell gru\n", ["not valid TOML", "line 4"]),
        (b'[model]\ncell = "gru"\ncell = "lstm"\n', ["not valid TOML", "line 3"]),
        (b"[model]\ncell = gru\n", ["not valid TOML", "line 2"]),
        ("[data]\npath = 'é'\n".encode("latin-1"), ["cannot be read as UTF-8 text", "0xe9"]),
        (b"[model]\nhiden_size = 8\n", ["unknown key model.hiden_size; did you mean 'model.hidden_size'?"]),
        (b"hidden_size = 8\n", ["unknown section [hidden_size]"]),
    ],
)
def test_bad_files(tmp_path, text, parts):
    path = _write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    for part in parts:
        assert part in message


def test_a_missing_file(tmp_path):
    path = tmp_path / "nothing.toml"
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: no such file"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_config(tmp_path)


# --set


@pytest.mark.parametrize(
    ("text", "section", "name", "value"),
    [
        ("model.cell=lstm", "model", "cell", "lstm"),
        ('model.cell="lstm"', "model", "cell", "lstm"),
        ("model.cell='lstm'", "model", "cell", "lstm"),
        (" model.cell = lstm ", "model", "cell", "lstm"),
        ("model.hidden_size=64", "model", "hidden_size", 64),
        ("model.bidirectional=false", "model", "bidirectional", False),
        ("train.learning_rate=1e-4", "train", "learning_rate", 1e-4),
        ("train.learning_rate=1", "train", "learning_rate", 1.0),
        ("data.src_level=", "data", "src_level", ""),
        ("data.path=a=b.tsv", "data", "train", "a=b.tsv"),
        ("data.path=/x/y z/é.tsv", "data", "train", "/x/y z/é.tsv"),
        ('data.path="a=b.tsv"', "data", "train", "a=b.tsv"),
        ("data.path=C:\\pairs.tsv", "data", "train", "C:\\pairs.tsv"),
        ("data.path=#1.tsv", "data", "train", "#1.tsv"),
        ("data.train=2024", "data", "train", "2024"),
        ("data.src_column=3", "data", "src_column", "3"),
    ],
)
def test_set(text, section, name, value):
    found = getattr(getattr(load_config(None, [text]), section), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("override", "separator"),
    [
        ("data.tgt_separator= ", " "),
        ("data.tgt_separator= @@", " @@"),
        ('data.tgt_separator=" @@"', " @@"),
        ('data.tgt_separator = " "', " "),
        ("data.tgt_separator = |", "|"),
        ("data.tgt_separator=#", "#"),
        ("data.tgt_separator=1", "1"),
        ("data.tgt_separator=", ""),
        ('data.tgt_separator=""', ""),
    ],
)
def test_a_separator_may_begin_with_a_space(override, separator):
    # The shell removes the quotes of data.tgt_separator=" ".
    assert load_config(None, [override]).data.tgt_separator == separator
    assert load_config(None, ["data.src_lang= de", "data.tgt_lang=fr "]).data.src_lang == "de"


def test_set_overrides_the_file_and_the_last_one_wins(tmp_path):
    path = _write(tmp_path, '[model]\ncell = "lstm"\nembed_dim = 10\n')
    config = load_config(path, ["model.cell=gru", "model.cell=rnn", "train.seed=7"])
    assert (config.model.cell, config.model.embed_dim, config.train.seed) == ("rnn", 10, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.cell", "--set 'model.cell': expected section.key=value, e.g. model.cell=lstm"),
        ("cell=lstm", "--set 'cell=lstm': expected section.key=value"),
        ("", "--set '': expected section.key=value"),
        ("model.hidden_size=0", "--set: model.hidden_size = 0 must be at least 1"),
        ("model.hiden_size=8", "--set: unknown key model.hiden_size; did you mean 'model.hidden_size'?"),
        ("modl.cell=8", "--set: unknown section 'modl' in modl.cell; did you mean 'model'?"),
        ("model.hidden_size=x", "model.hidden_size must be a whole number, got 'x'"),
        ("model.cell=gruu", "model.cell = 'gruu'; choose from"),
        ("model.dropout=nan", "model.dropout = nan must be"),
    ],
)
def test_bad_set(text, message):
    with pytest.raises(UserError) as caught:
        load_config(None, [text])
    assert message in str(caught.value)


@pytest.mark.parametrize("table", ["model = 3\n", "[[model]]\ncell = 'gru'\n"])
def test_set_over_a_section_that_is_no_table(tmp_path, table):
    with pytest.raises(UserError, match="model must be a table of settings"):
        load_config(_write(tmp_path, table), ["model.cell=lstm"])


@pytest.mark.parametrize(
    ("table", "text", "expected"),
    [
        ('corpus = "copy"', "data.path=x", ("", "x", "")),
        ('path = "y"', "data.corpus=reverse", ("reverse", "", "")),
        ('path = "y"', "data.train=x", ("", "x", "")),
        ("\n".join(f'{key} = "f"' for key in DATA_FILES), "data.corpus=copy", ("copy", "", "")),
        ("\n".join(f'{key} = "f"' for key in DATA_FILES), "data.train=g", ("", "g", "f")),
    ],
)
def test_set_of_another_source_takes_the_place_of_the_files(tmp_path, table, text, expected):
    data = load_config(_write(tmp_path, f"[data]\n{table}\nmin_freq = 5\n"), [text]).data
    assert (data.corpus, data.train, data.dev) == expected
    assert data.min_freq == 5


@pytest.mark.parametrize(
    ("text", "kept"), [("data.level=char", AUTO), ("data.level=word", "spell"), ("data.src_level=char", "spell")]
)
def test_set_of_another_level_takes_the_spelling_of_words_out_of_a_file(tmp_path, text, kept):
    file = _write(tmp_path, '[data]\nrare_words = "spell"\n')
    assert load_config(file, [text]).data.rare_words == kept
    with pytest.raises(UserError, match=r"data\.rare_words = 'spell' has no effect"):
        load_config(file, ["data.level=char", "data.rare_words=spell"])


def test_two_sources_that_are_set_exclude_each_other(tmp_path):
    with pytest.raises(UserError, match=r"data\.corpus and data\.train exclude each other"):
        load_config(None, ["data.path=x", "data.corpus=copy"])
    file = tmp_path / "settings.toml"
    file.write_text('[data]\npath = "x"\n', encoding="utf-8")
    data = load_config(file, ["data.corpus=copy"]).data
    assert (data.corpus, data.train) == ("copy", "")


def test_what_is_no_settings_file_is_told_where_it_belongs(tmp_path):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a\tb\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"pairs\.tsv: not a settings file.* set data\.train="):
        load_config(pairs)
    with pytest.raises(UserError, match=r"unknown preset 'copy'; .* or the name of a corpus"):
        load_config("copy")
    with pytest.raises(UserError, match=r"--set 'cell=lstm': .*; did you mean model\.cell=lstm\?"):
        load_config(None, ["cell=lstm"])
    with pytest.raises(UserError, match=r"did you mean data\.seed=2 or train\.seed=2\?"):
        load_config(None, ["seed=2"])


# There and back

# What TOML wants escaped, or might take for its own.
TEXT = st.text(
    st.sampled_from("\x7f\x00\x1f\n\r\t\"'\\#=[\u2028") | st.characters(exclude_categories=["Cs"]), max_size=12
)


def _values(field) -> st.SearchStrategy:
    """Any allowed value of a setting."""
    low, high, choices = (field.metadata[name] for name in ("minimum", "maximum", "choices"))
    if choices:
        return st.sampled_from(choices)
    return {
        bool: st.booleans(),
        int: st.integers(low, 2**31 - 1 if high is None else high),
        float: st.floats(low, high, allow_nan=False, allow_infinity=False),
        str: TEXT,
    }[field.type]


def _fit_data(draw, data):
    """Make the drawn settings of [data] go together."""
    source = draw(st.sampled_from(["corpus", "train", "files"]))
    files = {key: draw(TEXT.filter(bool)) if source in (key, "files") else "" for key in DATA_FILES}
    data.update(files, corpus=draw(TEXT.filter(bool)) if source == "corpus" else "", encoding="")
    if not (data["src_lang"] and data["tgt_lang"]):
        data.update(src_lang="", tgt_lang="")
    for side in ("src", "tgt"):
        data[f"{side}_separator"] = draw(st.sampled_from(["", "", " ", "|", " @@"]))
        if data[f"{side}_separator"]:
            data[f"{side}_level"] = draw(st.sampled_from(["", "word"]))
    data["features_separator"] = draw(st.sampled_from([";", "+"])) if data["features_column"] else ";"
    data["swap"] &= not data["features_column"]
    separated = [side for side in ("src", "tgt") if data[f"{side}_separator"]]
    if len(separated) == 2:
        data["level"] = "word"
    levels = {data[f"{side}_level"] or data["level"] for side in ("src", "tgt") if side not in separated}
    data["rare_words"] = data["rare_words"] if "word" in levels else "unk"
    data["pretokenized"] &= not separated and {
        data["src_level"] or data["level"],
        data["tgt_level"] or data["level"],
    } == {"word"}


def _fit_dropout(model):
    if model["cell"] in ELEMENTWISE_CELLS:
        model["recurrent_dropout"] = 0.0
    for key in ("embed_dropout", "output_dropout"):
        model[key] = -1.0 if model[key] < 0 else model[key]


def _fit_sharing(data, model):
    for part in ("level", "form", "separator"):
        data["share_vocab"] &= data[f"src_{part}"] == data[f"tgt_{part}"]
    model["share_embeddings"] &= data["share_vocab"]
    if model["share_embeddings"]:
        model["pretrained_tgt"] = ""


def _has_subwords(data):
    level = DataConfig(**data).level_of
    return bool({level("src"), level("tgt")} & {"bpe", "unigram"})


@st.composite
def _configs(draw) -> Config:
    tables = {
        section: {field.name: draw(_values(field)) for field in dataclasses.fields(kind)}
        for section, kind in SECTIONS.items()
    }
    data, model = tables["data"], tables["model"]
    _fit_data(draw, data)
    _fit_sharing(data, model)
    model["features"] = model["features"] if data["features_column"] else "joined"
    model["hidden_size"] += model["hidden_size"] % 2
    _fit_dropout(model)
    if model["tie_embeddings"]:
        model["embed_dim"] = model["hidden_size"]
    if model["attention"] == "none":
        model["input_feeding"], model["copy"], model["attention_map"] = False, False, "softmax"
        model["features"], model["context_dropout"] = "joined", 0.0
        if model["bridge"] == "zero":
            model["bridge"] = "copy"
    if model["kind"] != "encoder_decoder":
        model.update(KIND_SETTINGS[model["kind"]])
        tables["train"]["teacher_forcing"] = 1.0
    if model["tie_embeddings"] or not (model["pretrained_src"] or model["pretrained_tgt"]):
        model["freeze_pretrained"] = False
    if model["copy"]:
        tables["train"]["loss"] = "softmax"
    if model["kind"] == "same_length" or not _has_subwords(data):
        tables["train"]["subword_sampling"] = 0.0
    if tables["train"]["teacher_forcing"] == 1:
        tables["train"]["teacher_forcing_schedule"] = "constant"
    if tables["train"]["teacher_forcing_schedule"] == "constant":
        del tables["train"]["teacher_forcing_decay"]
    return config_from_dict(tables, "drawn")


@settings(max_examples=60)
@given(_configs())
def test_settings_written_and_read_are_the_same(tmp_path_factory, config):
    path = tmp_path_factory.getbasetemp() / "round.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert load_config(path) == config
    assert config_from_dict(config_to_dict(config), "dictionary") == config


@settings(max_examples=60)
@given(TEXT)
def test_any_text_survives_the_file(text):
    config = Config(data=DataConfig(train=text))
    assert tomllib.loads(to_toml(config))["data"]["train"] == text


def test_every_setting_is_written_with_its_description():
    text = to_toml(Config())
    for _, field in _fields():
        assert f"\n{field.name} = " in text
        assert f"# {field.metadata['doc']}\n" in text


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000, "-" + "9" * 30, str(2**31)])
@pytest.mark.parametrize("key", ["model.hidden_size", "train.learning_rate", "data.seed"])
def test_absurd_numbers_are_refused(tmp_path, key, number):
    section, name = key.split(".")
    (tmp_path / "x.toml").write_text(f"[{section}]\n{name} = {number}\n")
    for arguments in ((tmp_path / "x.toml",), (None, [f"{key}={number}"])):
        with pytest.raises(UserError) as error:
            load_config(*arguments)
        assert len(str(error.value)) < 2000


def test_deep_nesting_is_refused(tmp_path):
    (tmp_path / "x.toml").write_text("[model]\ncell = " + "[" * 100_000)
    with pytest.raises(UserError, match=r"x\.toml: not valid TOML"):
        load_config(tmp_path / "x.toml")


# Kinds of models


@pytest.mark.parametrize("kind", KIND_SETTINGS)
def test_settings_without_effect_in_a_kind_may_be_omitted(tmp_path, kind):
    fixed = KIND_SETTINGS[kind]
    config = config_from_dict({"model": {"kind": kind}}, "here")
    assert {key: getattr(config.model, key) for key in fixed} == dict(fixed)
    # The file's attention belongs to the file's kind; what is said beside the kind is an error.
    path = _write(tmp_path, '[model]\nattention = "dot"\ninput_feeding = true\nhidden_size = 10\n')
    model = load_config(path, [f"model.kind={kind}"]).model
    assert (model.attention, model.input_feeding, model.hidden_size) == ("none", False, 10)
    for order in ([f"model.kind={kind}", "model.attention=dot"], ["model.attention=dot", f"model.kind='{kind}'"]):
        with pytest.raises(UserError, match=r"got .dot"):
            load_config(path, order)


def test_peek_shows_the_source_without_attention_and_bridge():
    model = config_from_dict({"model": {"peek": True, "attention": "none", "bridge": "zero"}}, "here").model
    assert model.peek


# Presets and experiments

EXPERIMENTS = sorted((ROOT / "experiments").glob("**/*.toml"))


def test_there_are_experiments_and_presets():
    assert EXPERIMENTS
    assert {"phrasebook", "multi30k-de-en"} <= set(presets())
    assert not {path.stem for path in EXPERIMENTS} & set(presets())


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_loads(path):
    config = load_config(path)
    assert config.data.level in LEVELS
    # It is headed by the command that runs it.
    head = path.read_text(encoding="utf-8").splitlines()[:10]
    assert any(line.startswith("#") and path.name in line for line in head), head


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads_by_its_name_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The preset of a task has no data of its own: its first line names those of the user.
    first = (PRESETS / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    file = re.fullmatch(rf"# wordseq train {name}(?: (\w+\.tsv))? --run runs/{name}", first)[1]
    own = [f"data.train={file}"] if file else []
    config = load_config(name, own)
    assert config == load_config(PRESETS / f"{name}.toml", own) != load_config(None)
    if file:
        with pytest.raises(
            UserError, match=f"^the preset {name} has .* data; name the file: wordseq train {name} FILE$"
        ):
            load_config(name)
    else:
        check_source(config.data)


def test_the_experiment_on_pronunciation_has_the_settings_of_the_preset():
    preset = load_config("g2p", ["data.train=words.tsv"])
    on_one_core = dataclasses.replace(preset.train, precision="float32", shards=1)
    experiment = load_config(ROOT / "experiments" / "g2p2020.toml", ["data.train=words.tsv"])
    assert experiment == dataclasses.replace(preset, train=on_one_core)


def test_a_file_may_have_any_name_but_a_presets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("phrasebook", "phrasebook.toml", "other.toml"):
        (tmp_path / name).write_text("[model]\nembed_dim = 3\n")
    for name in ("phrasebook.toml", "./other.toml"):
        assert load_config(name).model.embed_dim == 3
    assert load_config("phrasebook").model.embed_dim == load_config(PRESETS / "phrasebook.toml").model.embed_dim


def test_an_unknown_preset_names_all_and_the_closest():
    with pytest.raises(UserError) as error:
        load_config("multi30k-deen")
    assert str(error.value).startswith("unknown preset 'multi30k-deen'; did you mean 'multi30k-de-en'? choose from ")
    assert all(name in str(error.value) for name in presets())


# When settings may change


def test_each_setting_declares_when_it_may_change():
    """By hand: a setting that is marked by mistake continues another run, or averages runs that differ."""
    assert set(keys_that_change(Changes.LIMIT)) == {
        *("train.max_epochs", "train.max_steps", "train.max_minutes", "train.patience", "train.save_minutes"),
    }
    reading = ("format", "encoding", "header", "src_column", "tgt_column", "features_column", "src_lang", "tgt_lang")
    assert set(keys_that_change(Changes.PLACE)) == {f"data.{key}" for key in (*DATA_FILES, *reading)}
    assert set(keys_that_change(Changes.CHANCE)) == {"train.seed", "train.shards"}
    machine = {"train.precision", "train.shards", "eval.tokenize"}
    assert set(keys_that_change(Changes.MACHINE)) == machine | set(AUTO_KEYS)


def test_without_chance_two_samples_of_the_same_are_equal():
    one, other = (load_config(None, [*sets, "model.cell=lstm"]) for sets in (["train.seed=3"], ["train.shards=7"]))
    assert without_chance(one) == without_chance(other) == load_config(None, ["model.cell=lstm"])
    assert without_chance(load_config(None, ["data.seed=2"])) != load_config(None)


def test_runs_are_samples_of_the_same_if_they_differ_by_chance_or_by_the_place_of_their_data_and_else_not():
    usual = Config()
    for section, field in _fields():
        value = not field.default if field.type is bool else field.default + ("x" if field.type is str else 1)
        table = dataclasses.replace(getattr(usual, section), **{field.name: value})
        same = without_chance(dataclasses.replace(usual, **{section: table})) == without_chance(usual)
        assert same == bool(field.metadata["changes"] & (Changes.CHANCE | Changes.PLACE)), f"{section}.{field.name}"


def test_settings_by_key():
    found = by_key(load_config(None, ["model.cell=lstm"]))
    assert found["model.cell"] == "lstm"
    assert list(found) == [f"{section}.{field.name}" for section, field in _fields()]


def test_languages_follow_the_exchange_of_source_and_target():
    data = DataConfig(src_lang="en", tgt_lang="fr")
    assert (data.lang_of("src"), data.lang_of("tgt")) == ("en", "fr")
    swapped = dataclasses.replace(data, swap=True)
    assert (swapped.lang_of("src"), swapped.lang_of("tgt")) == ("fr", "en")
