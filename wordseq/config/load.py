"""Settings: frozen dataclasses, read from one TOML file and `--set key=value`, checked once where they enter."""

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wordseq.config.schema import (
    ELEMENTWISE_CELLS,
    KIND_SETTINGS,
    MOST,
    SECTIONS,
    SOURCES,
    SPLIT_FILES,
    Config,
    ModelConfig,
    TrainConfig,
)
from wordseq.system.errors import UserError


def load_config(path: Path | None, overrides: Iterable[str] = ()) -> Config:
    """Settings from a TOML file (or the defaults), then `key=value` overrides, checked.

    Raises:
        UserError: no such file, not TOML, an unknown key, a value of the wrong type or out of range.
    """
    values = read_toml(path) if path else {}
    where = str(path) if path else "settings"
    overrides = list(overrides)
    values = _without_other_kinds(values, overrides, where)
    for text in overrides:
        key, _, value = text.partition("=")
        section, dot, name = key.strip().partition(".")
        if not (dot and _):
            raise UserError(f"--set {text!r}: expected section.key=value, e.g. model.cell=lstm")
        parsed = _checked(f"{section}.{name}", _parse(value.strip()), _field(section, name, "--set"), "--set")
        table = _table(section, values.get(section, {}), where)
        if name in SOURCES:
            # Another source of the data takes the place of the file's.
            others = SOURCES if name in SPLIT_FILES else {*SOURCES, *SPLIT_FILES}
            table = {key: kept for key, kept in table.items() if key not in others}
        values = {**values, section: {**table, name: parsed}}
    return config_from_dict(values, where)


def _without_other_kinds(values: dict[str, Any], overrides: Iterable[str], where: str) -> dict[str, Any]:
    """Where an override chooses `model.kind`, what the file says of parts that this kind lacks goes with the file's kind."""
    for text in overrides:
        key, _, value = text.partition("=")
        if key.strip() == "model.kind" and "model" in values:
            fixed = KIND_SETTINGS.get(str(_parse(value.strip())), {})
            table = _table("model", values["model"], where)
            values = {**values, "model": {name: kept for name, kept in table.items() if name not in fixed}}
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        UserError: the file is missing, not UTF-8 or not TOML; the message names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of thousands of digits
        raise UserError(f"{path}: not valid TOML: {error}") from None


def config_from_dict(values: Mapping[str, Any], where: str) -> Config:
    """Settings from nested tables; `where` names their origin in errors.

    Raises:
        UserError: see `load_config`.
    """
    sections = {}
    for section, table in values.items():
        if section not in SECTIONS:
            raise UserError(f"{where}: unknown section [{section}]{_guess(section, SECTIONS)}")
        sections[section] = _section(section, _table(section, table, where), where)
    return _check_together(Config(**sections), where)


def config_to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """All settings as nested tables, in the order of their definition."""
    return dataclasses.asdict(config)


def to_toml(config: Config) -> str:
    """The settings as a TOML file, each with its description; `load_config` reads it back."""
    lines: list[str] = []
    for section, kind in SECTIONS.items():
        lines.append(f"[{section}]")
        for field in dataclasses.fields(kind):
            value = getattr(getattr(config, section), field.name)
            lines.append(f"{field.name} = {_toml_value(value)}  # {field.metadata['doc']}")
        lines.append("")
    return "\n".join(lines)


def _toml_value(value: bool | int | float | str) -> str:
    # JSON strings, numbers and booleans are TOML too, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _parse(value: str) -> Any:
    """A value of `--set`: TOML where it is TOML, else text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError, KeyError):
        return value


def _table(section: str, table: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise UserError(f"{where}: {section} must be a table of settings, got {table!r}")
    return table


def _section(section: str, table: Mapping[str, Any], where: str) -> Any:
    if section == "model":
        # What has no say in this kind of model need not be said.
        table = {**KIND_SETTINGS.get(str(table.get("kind")), {}), **table}
    checked = {
        name: _checked(f"{section}.{name}", value, _field(section, name, where), where) for name, value in table.items()
    }
    return SECTIONS[section](**checked)


def _field(section: str, name: str, where: str) -> "dataclasses.Field[Any]":
    if section not in SECTIONS:
        raise UserError(f"{where}: unknown section {section!r} in {section}.{name}{_guess(section, SECTIONS)}")
    fields = {field.name: field for field in dataclasses.fields(SECTIONS[section])}
    if name not in fields:
        raise UserError(f"{where}: unknown key {section}.{name}{_guess(name, fields, f'{section}.')}")
    return fields[name]


def _guess(name: str, names: Iterable[str], before: str = "") -> str:
    close = difflib.get_close_matches(name, list(names), n=2)
    if not close:
        return f"; choose from {', '.join(names)}"
    like = [difflib.SequenceMatcher(None, other, name).ratio() for other in close]
    as_close = [repr(before + other) for other, ratio in zip(close, like, strict=True) if ratio > like[0] - 0.05]
    return f"; did you mean {' or '.join(as_close)}?"


def _checked(key: str, value: Any, field: "dataclasses.Field[Any]", where: str) -> Any:
    value = _typed(key, value, field.type, where)
    choices, low, high = (field.metadata[name] for name in ("choices", "minimum", "maximum"))
    if choices and value not in choices:
        raise UserError(f"{where}: {key} = {value!r}; choose from {', '.join(map(repr, choices))}")
    # Written so that NaN fails too.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        allowed = " and ".join([f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None))
        raise UserError(f"{where}: {key} = {value!r} must be {allowed}")
    return value


def _typed(key: str, value: Any, kind: Any, where: str) -> Any:
    if isinstance(value, int) and not -MOST <= value <= MOST:
        raise UserError(f"{where}: {key} has {value.bit_length():,} bits; whole numbers go up to {MOST:,}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise UserError(f"{where}: {key} must be {_TYPE_NAMES[kind]}, got {value!r}")
    if kind is float and value in (float("inf"), float("-inf")):
        raise UserError(f"{where}: {key} must be a finite number, got {value!r}")
    return value


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _check_together(config: Config, where: str) -> Config:
    data, model = config.data, config.model
    named = [key for key in SOURCES if getattr(data, key)]
    if len(named) > 1:
        raise UserError(f"{where}: data.{' and data.'.join(named)} exclude each other; give one")
    if not named:
        return _check_together(dataclasses.replace(config, data=dataclasses.replace(data, corpus="phrasebook")), where)
    given = [f"data.{key}" for key in SPLIT_FILES if getattr(data, key)]
    missing = [f"data.{key}" for key in SPLIT_FILES if not getattr(data, key)]
    if given and missing:
        raise UserError(f"{where}: {given[0]} is given, so {', '.join(missing)} must be too")
    if data.pretokenized and {data.level_of("src"), data.level_of("tgt")} != {"word"}:
        raise UserError(
            f"{where}: data.pretokenized = true splits at spaces, so data.level must be 'word' on both sides"
        )
    _check_model(model, where)
    _check_feeding(config, where)
    return config


def _check_model(model: ModelConfig, where: str) -> None:
    for key, value in KIND_SETTINGS.get(model.kind, {}).items():
        got = getattr(model, key)
        if got != value:
            raise UserError(
                f"{where}: model.kind = {model.kind!r} goes with model.{key} = {_toml_value(value)} only, "
                f"got {_toml_value(got)}"
            )
    if model.input_feeding and model.attention == "none":
        raise UserError(
            f"{where}: model.input_feeding feeds what attention found; model.attention = 'none' finds nothing"
        )
    sees_source = model.attention != "none" or model.peek or model.kind != "encoder_decoder"
    if not sees_source and model.bridge == "zero":
        raise UserError(
            f"{where}: with model.attention = 'none' and model.bridge = 'zero' the decoder would see nothing of the source "
            "unless model.peek is true"
        )
    if model.bidirectional and model.hidden_size % 2:
        raise UserError(
            f"{where}: model.hidden_size = {model.hidden_size} must be even when model.bidirectional is true"
        )
    if model.recurrent_dropout and model.cell in ELEMENTWISE_CELLS:
        raise UserError(
            f"{where}: model.recurrent_dropout = {model.recurrent_dropout} must be 0 with model.cell = {model.cell!r}, "
            "which has no recurrent product"
        )
    _check_pretrained(model, where)
    if model.tie_embeddings and model.embed_dim != model.hidden_size:
        raise UserError(
            f"{where}: model.tie_embeddings needs model.embed_dim = model.hidden_size, "
            f"got {model.embed_dim} and {model.hidden_size}"
        )


def _check_pretrained(model: ModelConfig, where: str) -> None:
    if model.freeze_pretrained and not (model.pretrained_src or model.pretrained_tgt):
        raise UserError(
            f"{where}: model.freeze_pretrained = true freezes nothing without model.pretrained_src or model.pretrained_tgt"
        )
    if model.freeze_pretrained and model.pretrained_tgt and model.tie_embeddings:
        raise UserError(
            f"{where}: model.tie_embeddings makes target vectors output weights, which must be trained: "
            "model.freeze_pretrained cannot keep them"
        )


def _check_feeding(config: Config, where: str) -> None:
    kind, train = config.model.kind, config.train
    if kind != "encoder_decoder" and train.teacher_forcing < 1:
        raise UserError(
            f"{where}: model.kind = {kind!r} is fed no tokens, so train.teacher_forcing must be 1.0, "
            f"got {train.teacher_forcing}"
        )
    if train.teacher_forcing_schedule != "constant" and train.teacher_forcing == 1:
        raise UserError(
            f"{where}: train.teacher_forcing_schedule = {train.teacher_forcing_schedule!r} falls from 1 to "
            "train.teacher_forcing, which must be below 1"
        )
    if (
        train.teacher_forcing_schedule == "constant"
        and train.teacher_forcing_decay != TrainConfig.teacher_forcing_decay
    ):
        raise UserError(
            f"{where}: train.teacher_forcing_decay = {train.teacher_forcing_decay:g} is of a share that falls; "
            "with train.teacher_forcing_schedule = 'constant' it does not"
        )
