"""Reads settings from one TOML file and `--set key=value`, checks them once, and writes them as TOML."""

import codecs
import dataclasses
import difflib
import json
import os
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import starmap
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

from wordseq.config.data import DATA_FILES, SOURCES, DataConfig
from wordseq.config.fields import is_auto, usual_value
from wordseq.config.schema import (
    ELEMENTWISE_CELLS,
    FIELDS,
    KIND_SETTINGS,
    MOST,
    OTHER_NAMES,
    SECTIONS,
    Config,
    DecodeConfig,
    EvalConfig,
    ModelConfig,
    TrainConfig,
)
from wordseq.system.errors import UserError

_Section = TypeVar("_Section", DataConfig, ModelConfig, TrainConfig, DecodeConfig, EvalConfig)

PRESETS = Path(__file__).parent / "presets"
"""Folder of the presets, recommended settings for one corpus each, as NAME.toml."""


def load_config(
    settings: str | Path | None,
    overrides: Iterable[str] = (),
    given: Mapping[str, Any] = MappingProxyType({}),
    *,
    with_data: bool = True,
) -> Config:
    """Settings from a file (or the defaults), then overrides, checked.

    Args:
        settings: the name of a preset, or the path of a TOML file; None: the defaults.
        overrides: `section.key=value`; the last one of a key wins.
        given: further overrides from Python: values by `section.key`.
        with_data: False: a preset of a task may have no data; `data.corpus` is empty then.

    Raises:
        UserError: the preset or file is missing or not TOML, a key is unknown, or a value has a wrong type or is out of range.
            Or a preset of a task has no data.
    """
    tables = read_toml(_settings_file(str(settings))) if settings else {}
    where = str(settings) if settings else "settings"
    # model.kind first. It drops the settings of the file that the kind does not have; a later override of one is an error.
    parsed = [*map(_override, overrides), *starmap(_given, given.items())]
    sources = {f"data.{name}": value for section, name, value in parsed if section == "data" and name in SOURCES}
    named = sorted(key for key, value in sources.items() if value)
    if named[1:]:
        raise UserError(f"{' and '.join(named)} exclude each other; give one")
    for section, name, value in sorted(parsed, key=lambda override: override[1] != "kind"):
        replaced = _replaced_by(name, value)
        kept = {key: old for key, old in _table(section, tables.get(section, {}), where).items() if key not in replaced}
        tables[section] = {**kept, name: value}
    if settings not in presets() or any(tables.get("data", {}).get(name) for name in SOURCES):
        return config_from_dict(tables, where)
    if with_data:
        raise UserError(
            f"the preset {settings} has settings for your own data; name the file: wordseq train {settings} FILE"
        )
    config = config_from_dict(tables, where)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, corpus=""))


def presets() -> list[str]:
    """The names of the presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def _settings_file(settings: str) -> Path:
    """The file of a preset, or the file with this path.

    Raises:
        UserError: the name of a preset is unknown.
    """
    names, path = presets(), Path(settings)
    if settings in names:
        return PRESETS / f"{settings}.toml"
    # A plain word without a file of that name is more likely a mistyped preset than a missing file.
    if len(path.parts) == 1 and not path.suffix and not path.exists():
        close = difflib.get_close_matches(settings, names, n=1)
        guess = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(
            f"unknown preset {settings!r}; {guess}choose from {', '.join(names)}, or give a .toml file, a file of pairs "
            "or the name of a corpus"
        )
    if path.suffix != ".toml" and path.is_file():
        raise UserError(f"{path}: not a settings file, whose name ends in .toml; to train on it, set data.train={path}")
    return path


def _override(text: str) -> tuple[str, str, Any]:
    """Section, name and value of `section.name=value`; a value that is not TOML is text."""
    key, equals, value = text.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (dot and equals):
        places = [f"{name}.{section}={value}" for name, kind in SECTIONS.items() if hasattr(kind, section)]
        guess = f"; did you mean {' or '.join(places)}?" if equals and places else ", e.g. model.cell=lstm"
        raise UserError(f"--set {text!r}: expected section.key=value{guess}")
    section, _, name = OTHER_NAMES.get(f"{section}.{name}", f"{section}.{name}").partition(".")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except (ValueError, RecursionError, KeyError):
        # The shell removes quotes: model.cell=lstm arrives without them and must still work, and so must a space that is meant.
        parsed = value if name.endswith("_separator") and key == key.rstrip() else value.strip()
    return section, name, check_setting(section, name, parsed, "--set")


def _given(key: str, value: Any) -> tuple[str, str, Any]:
    """Section, name and checked value of a setting from Python; paths and NumPy numbers are converted."""
    section, _, name = OTHER_NAMES.get(key, key).partition(".")
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif hasattr(value, "item"):
        value = value.item()
    return section, name, check_setting(section, name, value, "settings")


def _replaced_by(name: str, value: Any) -> Iterable[str]:
    """The keys of a file that an override removes: what the kind or the level does not have, other sources of data."""
    if name == "kind":
        return KIND_SETTINGS.get(value, {})
    if name == "level":
        return () if value == "word" else ("rare_words",)
    # A corpus has its own dev and test data; other training data may go with those of the file.
    return {"corpus": (*SOURCES, *DATA_FILES), "train": SOURCES}.get(name, ()) if value else ()


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        UserError: the file is missing, not UTF-8 or not TOML; the message names the line.
    """
    try:
        # utf-8-sig: Windows editors write a byte-order mark, which TOML does not allow.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    except (ValueError, RecursionError) as error:  # Also ValueError: Python refuses numbers of more than 4,300 digits.
        raise UserError(f"{path}: not valid TOML: {error}") from None


def config_from_dict(values: Mapping[str, Any], where: str) -> Config:
    """Settings from nested tables; errors start with `where`, the origin of the tables.

    Raises:
        UserError: see `load_config`.
    """
    sections = {section: kind(**_usual(section)) for section, kind in SECTIONS.items()}
    for section, given in values.items():
        if section not in SECTIONS:
            raise UserError(f"{where}: unknown section [{section}]{guess_names(section, SECTIONS)}")
        table = _table(section, given, where)
        # Settings that the kind decides take the kind's value, not the default, where the file leaves them out.
        decided = KIND_SETTINGS.get(str(table.get("kind")), {}) if section == "model" else {}
        checked = {name: check_setting(section, name, value, where) for name, value in {**decided, **table}.items()}
        sections[section] = SECTIONS[section](**{**_usual(section), **checked})
    config = Config(**sections)
    for conflict in (*_data_conflicts(config.data), *_model_conflicts(config.model), *_train_conflicts(config)):
        raise UserError(f"{where}: {conflict}")
    # Not the default of data.corpus: data.path in a file would then conflict with a corpus that nobody named.
    if not any(getattr(config.data, key) for key in SOURCES):
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, corpus="phrasebook"))
    return config


def _usual(section: str) -> dict[str, Any]:
    """The settings of a section that nobody gave."""
    return {name: usual_value(field) for name, field in FIELDS[section].items()}


def check_section(settings: _Section, where: str) -> _Section:
    """A section of settings that was made in Python, every value checked.

    Args:
        settings: e.g. a `DecodeConfig`.
        where: names their origin in errors.

    Raises:
        UserError: a value has the wrong type or is out of bounds.
    """
    section = next(name for name, kind in SECTIONS.items() if isinstance(settings, kind))
    values = {name: getattr(settings, name) for name in FIELDS[section]}
    # NumPy's numbers, as Python's.
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
    return type(settings)(**{name: check_setting(section, name, value, where) for name, value in plain.items()})


def config_to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """All settings as nested tables, in the order of their definition."""
    return dataclasses.asdict(config)


def to_toml(config: Config, sections: Iterable[str] = tuple(SECTIONS)) -> str:
    """The settings of some sections as a TOML file, each with its description; `load_config` reads it back."""
    lines: list[str] = []
    for section in sections:
        lines.append(f"[{section}]")
        for name, field in FIELDS[section].items():
            value = getattr(getattr(config, section), name)
            lines.append(f"{name} = {toml_value(value)}  # {field.metadata['doc']}")
        lines.append("")
    return "\n".join(lines)


def toml_value(value: bool | int | float | str | list[str]) -> str:
    """A value as TOML."""
    # JSON strings, numbers and booleans are valid TOML, except that TOML requires DEL to be escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _table(section: str, table: Any, where: str) -> Mapping[str, Any]:
    """The settings of a section, each under its one name."""
    if not isinstance(table, Mapping):
        raise UserError(f"{where}: {section} must be a table of settings, got {table!r}")
    found: dict[str, Any] = {}
    for given, value in table.items():
        name = OTHER_NAMES.get(f"{section}.{given}", f"{section}.{given}").partition(".")[2]
        if name in found:
            other = next(other for other, key in OTHER_NAMES.items() if key == f"{section}.{name}")
            raise UserError(f"{where}: {section}.{name} and {other} are the same setting; give one")
        found[name] = value
    return found


def guess_names(name: str, names: Iterable[str], before: str = "") -> str:
    """The end of an error about an unknown name: the names that are close to it, or all names."""
    close = difflib.get_close_matches(name, list(names), n=2)
    if not close:
        return f"; choose from {', '.join(names)}"
    # Both are named when they are about as close: `pretrained` may mean pretrained_src or pretrained_tgt.
    like = [difflib.SequenceMatcher(None, other, name).ratio() for other in close]
    as_close = [repr(before + other) for other, ratio in zip(close, like, strict=True) if ratio > like[0] - 0.05]
    return f"; did you mean {' or '.join(as_close)}?"


def check_setting(section: str, name: str, value: Any, where: str) -> Any:
    """The value of a setting, after all checks that need this setting alone; an int for a float setting becomes a float.

    Raises:
        UserError: the setting is unknown, or the value is not allowed; the message starts with `where`, its origin.
    """
    if section not in SECTIONS:
        raise UserError(f"{where}: unknown section {section!r} in {section}.{name}{guess_names(section, SECTIONS)}")
    fields = FIELDS[section]
    if name not in fields:
        raise UserError(f"{where}: unknown key {section}.{name}{guess_names(name, fields, f'{section}.')}")
    key = f"{section}.{name}"
    if is_auto(value) and fields[name].metadata["auto"]:
        return value
    value = _typed(key, value, fields[name].type, where)
    choices, low, high = (fields[name].metadata[part] for part in ("choices", "minimum", "maximum"))
    if choices and value not in choices:
        raise UserError(f"{where}: {key} = {value!r}; choose from {', '.join(map(repr, choices))}")
    # `not value >= low` instead of `value < low`: NaN must fail too.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        allowed = " and ".join([f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None))
        raise UserError(f"{where}: {key} = {value!r} must be {allowed}")
    return value


def _typed(key: str, value: Any, kind: Any, where: str) -> Any:
    if isinstance(value, int) and not -MOST <= value <= MOST:
        # Not the number itself: Python refuses to print one of thousands of digits.
        raise UserError(f"{where}: {key} has {value.bit_length():,} bits; the largest whole number is {MOST:,}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # A column or a file may be called by a number, which needs no quotes then.
    if kind is str and type(value) is int:
        return str(value)
    # Not isinstance: in Python True is an int.
    if type(value) is not kind:
        raise UserError(f"{where}: {key} must be {_TYPE_NAMES[kind]}, got {value!r}")
    if kind is str and not _is_unicode(value):
        raise UserError(f"{where}: {key} is not UTF-8: {value!r}; rename the file")
    if kind is float and value in (float("inf"), float("-inf")):
        raise UserError(f"{where}: {key} must be a finite number, got {value!r}")
    return value


def _is_unicode(text: str) -> bool:
    """Whether text can be saved: Python keeps bytes of file names that are not UTF-8 as surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _data_conflicts(data: DataConfig) -> Iterator[str]:
    """Conflicts between settings of [data], one message each."""
    named = [key for key in SOURCES if getattr(data, key)]
    if len(named) > 1:
        yield f"data.{' and data.'.join(named)} exclude each other; set one of them"
    for key in DATA_FILES[1:]:
        if getattr(data, key) and not data.train:
            yield f"data.{key} is set, so data.train must be set too"
    if data.encoding:
        try:
            codecs.lookup(data.encoding)
            "".encode(data.encoding)
        except (LookupError, UnicodeError):
            yield f"data.encoding = {data.encoding!r}: unknown; for example utf-8, utf-16, cp1252, latin-1, shift_jis, gb18030"
    if bool(data.src_lang) != bool(data.tgt_lang):
        missing = "data.tgt_lang" if data.src_lang else "data.src_lang"
        yield f"{missing} must be set too: source and target have a language each"
    if data.rare_words == "spell" and "word" not in (data.level_of("src"), data.level_of("tgt")):
        yield (
            f"data.rare_words = {data.rare_words!r} has no effect: neither source nor target is of the word level, and the "
            "other levels spell all text; remove it"
        )
    yield from _sharing_conflicts(data)
    yield from _separator_conflicts(data)
    yield from _feature_conflicts(data)


def _sharing_conflicts(data: DataConfig) -> Iterator[str]:
    """What differs between source and target, which a vocabulary of both must have alike, one message each."""
    parts = {"level": data.level_of, "form": data.form_of, "separator": data.separator_of} if data.share_vocab else {}
    for part, of in parts.items():
        if of("src") != of("tgt"):
            yield (
                f"data.share_vocab needs one {part} for source and target, got {of('src')!r} and {of('tgt')!r}; set "
                f"data.src_{part} and data.tgt_{part} alike"
            )


def _feature_conflicts(data: DataConfig) -> Iterator[str]:
    """Conflicts of features with other settings, one message each."""
    key = f"data.features_separator = {data.features_separator!r}"
    if not data.features_separator:
        yield f"{key}: it must be the string between two features, e.g. ';'"
    yield from (f"{key}{fault}" for fault in _never_occurs(data.features_separator, "NFC", lowercase=False))
    if data.features_separator != DataConfig.features_separator and not data.features_column:
        yield f"{key} has no effect: set data.features_column, or remove it"
    if data.features_column and data.swap:
        yield (
            "data.features_column gives sources features, but with data.swap they would be those of the target; name the "
            "columns with data.src_column and data.tgt_column, and remove data.swap"
        )


def _separator_conflicts(data: DataConfig) -> Iterator[str]:
    """Conflicts of separators with other settings, and with normalised text, in which they must occur."""
    separated = [side for side in ("src", "tgt") if data.level_of(side) == "symbols"]
    if data.pretokenized and separated:
        yield f"data.pretokenized splits at spaces, data.{separated[0]}_separator elsewhere; set one of them"
    elif data.pretokenized and {data.level_of("src"), data.level_of("tgt")} != {"word"}:
        yield "data.pretokenized = true splits at spaces, so data.level must be 'word' for source and target"
    for side in separated:
        separator, level = data.separator_of(side), getattr(data, f"{side}_level")
        key = f"data.{side}_separator = {separator!r}"
        if level not in ("", "word"):
            yield f"{key} cuts the text into symbols, so data.{side}_level = {level!r} has no effect; remove one of them"
        yield from (f"{key}{fault}" for fault in _never_occurs(separator, data.form_of(side), data.lowercase))
    if separated == ["src", "tgt"] and data.level != "word":
        yield f"data.level = {data.level!r} has no effect: source and target are cut at their separators; remove it"


def _never_occurs(separator: str, form: str, lowercase: bool) -> Iterator[str]:
    """Why a separator cannot occur in normalised text in a Unicode form, as the rest of a message."""
    # All white space but the plain space is unprintable for Python.
    if not separator.isprintable():
        yield ": a separator cannot have tabs, line ends or other invisible characters: text is normalised first"
    elif "  " in separator:
        yield ": text is normalised first and has no two spaces in a row; one space separates as well"
    for other in dict.fromkeys(("NFC", form)):
        if unicodedata.normalize(cast(Any, other), separator) != separator:
            yield f" never occurs: texts are in Unicode {other}"
    if lowercase and separator != separator.lower():
        yield " never occurs: texts are in lower case"


def _model_conflicts(model: ModelConfig) -> Iterator[str]:
    """Conflicts between settings of [model], one message each."""
    for key, value in KIND_SETTINGS.get(model.kind, {}).items():
        if (got := getattr(model, key)) != value:
            yield f"model.kind = {model.kind!r} needs model.{key} = {toml_value(value)}, got {toml_value(got)}"
    yield from _attention_conflicts(model)
    sees_source = model.attention != "none" or model.peek or model.kind != "encoder_decoder"
    if not sees_source and model.bridge == "zero":
        yield (
            "with model.attention = 'none' and model.bridge = 'zero' the decoder has no input from the source; "
            "change one of them, or set model.peek = true"
        )
    if model.bidirectional and not is_auto(model.hidden_size) and model.hidden_size % 2:
        yield f"model.hidden_size = {model.hidden_size} must be even when model.bidirectional is true"
    yield from _dropout_conflicts(model)
    yield from _embedding_conflicts(model)


def _embedding_conflicts(model: ModelConfig) -> Iterator[str]:
    """Conflicts between settings of embeddings, one message each."""
    given = [key for key in ("pretrained_src", "pretrained_tgt") if getattr(model, key)]
    if model.freeze_pretrained and not given:
        yield "model.freeze_pretrained needs model.pretrained_src or model.pretrained_tgt"
    tied = given if model.share_embeddings else [key for key in given if key == "pretrained_tgt"]
    if model.freeze_pretrained and tied and model.tie_embeddings:
        yield (
            "model.tie_embeddings uses the target embedding as output weights, which must be trained; "
            f"set model.freeze_pretrained = false, or remove model.{tied[0]}"
        )
    if model.share_embeddings and len(given) > 1:
        yield "model.share_embeddings has one matrix: set model.pretrained_src or model.pretrained_tgt, not both"
    sizes = {size for size in (model.embed_dim, model.hidden_size) if not is_auto(size)}
    if model.tie_embeddings and len(sizes) > 1:
        yield (
            "model.tie_embeddings needs model.embed_dim = model.hidden_size, "
            f"got {model.embed_dim} and {model.hidden_size}"
        )


def _dropout_conflicts(model: ModelConfig) -> Iterator[str]:
    """Rates of dropout that have no meaning, one message each."""
    for key in ("embed_dropout", "output_dropout"):
        if -1 < getattr(model, key) < 0:
            yield f"model.{key} = {getattr(model, key)} must be -1, which stands for model.dropout, or from 0 to 0.95"
    if model.recurrent_dropout and model.cell in ELEMENTWISE_CELLS:
        yield (
            f"model.recurrent_dropout = {model.recurrent_dropout} must be 0 with model.cell = {model.cell!r}, "
            "which has no recurrent matrix product"
        )


def _attention_conflicts(model: ModelConfig) -> Iterator[str]:
    """Settings of [model] that need attention where there is none."""
    if model.attention == "none":
        for key in ("input_feeding", "attention_map", "features", "copy", "context_dropout"):
            if (got := getattr(model, key)) != getattr(ModelConfig, key):
                yield (
                    f"model.{key} = {toml_value(got)} needs attention, but model.attention is 'none'; change one of them"
                )


def _sampling_conflicts(config: Config) -> Iterator[str]:
    """What subword sampling cannot work with, one message each."""
    key = f"train.subword_sampling = {config.train.subword_sampling}"
    if not config.data.has_subwords:
        yield f"{key} draws subwords, so data.level must be 'bpe' or 'unigram' for source or target"
    if config.model.kind == "same_length":
        yield f"{key} changes the number of tokens, which must be the same for model.kind = 'same_length'; remove one of them"


def _train_conflicts(config: Config) -> Iterator[str]:
    """Conflicts between settings of [train], or with the kind of model, one message each."""
    kind, train = config.model.kind, config.train
    if kind != "encoder_decoder" and train.teacher_forcing < 1:
        yield (
            f"model.kind = {kind!r} has no token input, so train.teacher_forcing must be 1.0, got {train.teacher_forcing}"
        )
    if train.subword_sampling:
        yield from _sampling_conflicts(config)
    if config.model.features == "separate" and not config.data.features_column:
        yield "model.features = 'separate' reads features of sources: set data.features_column, or remove it"
    if config.model.share_embeddings and not config.data.share_vocab:
        yield (
            "model.share_embeddings has one row for each token of source and target: set data.share_vocab = true, or remove it"
        )
    if config.model.copy and train.loss != "softmax":
        yield (
            f"model.copy mixes the source's tokens with a softmax, so train.loss must be 'softmax', got {train.loss!r}; "
            "model.attention_map may be sparse"
        )
    if train.teacher_forcing_schedule != "constant" and train.teacher_forcing == 1:
        yield (
            f"train.teacher_forcing_schedule = {train.teacher_forcing_schedule!r} falls from 1 to "
            "train.teacher_forcing, so train.teacher_forcing must be below 1"
        )
    if (
        train.teacher_forcing_schedule == "constant"
        and train.teacher_forcing_decay != TrainConfig.teacher_forcing_decay
    ):
        yield (
            "train.teacher_forcing_decay has no effect with schedule 'constant'; "
            "set train.teacher_forcing_schedule or remove it"
        )
