"""Train a run, or open one, and use it: what `wordseq.train` and `wordseq.load` return."""

import dataclasses
import importlib.util
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from wordseq.api.data import Data, data_settings, pairs_of
from wordseq.config.arguments import text_list
from wordseq.config.data import SOURCES
from wordseq.config.load import check_setting, guess_names, load_config
from wordseq.config.schema import FIELDS, OTHER_NAMES, Config, DecodeConfig
from wordseq.data.splits import HeldOut
from wordseq.evaluation.scores import Scores
from wordseq.runs.combine import EnsembleFolder, ensemble_beside, open_run
from wordseq.runs.data import check_usable, pairs_written, prepare_run, with_own_pairs
from wordseq.runs.folder import BEST, CONFIG_FILE, LAST, RunFolder
from wordseq.system.errors import UserError
from wordseq.system.locks import locked
from wordseq.system.progress import Say
from wordseq.system.tensorflow import import_tensorflow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from wordseq.decoding.translator import Hypothesis, Sampling, Translator

_SOURCE_KEYS = tuple(f"data.{name}" for name in SOURCES)

_COLUMN_KEYS = ("data.src_column", "data.tgt_column", "data.features_column", "data.src_lang", "data.tgt_lang")

_DECODE_NAMES = {"beam": "beam_size"}
"""Short names of settings of the search, as the command line has them."""


def train(
    data: Data | None = None,
    run: str | os.PathLike[str] | None = None,
    *,
    preset: str | os.PathLike[str] | None = None,
    mirror: str | os.PathLike[str] | None = None,
    tensorboard: bool = False,
    verbose: bool = True,
    **settings: Any,
) -> "Run":
    """Train a model, or resume the training of a run, as `wordseq train` does.

    Call it again with the same arguments to resume a training that was stopped. Ctrl-C (in a notebook: interrupt the kernel)
    saves and returns; `run.finished` is empty then. `dev_size` and `test_size` set how many sources are held out for
    validation and for the test.

    Args:
        data: pairs of (source, target), dicts, a DataFrame, the path of a file of pairs, or the name of a corpus. Of more than
            two columns, keys or cells, `src_column` and `tgt_column` choose two by name or number; without them columns named
            source and target or the like are taken. `features_column` names that of the features of a source, such as the
            tags of an inflected form: with `features_column=3` a row is (source, target, features). None: the data that the
            preset, the settings or the run name.
        run: the folder of the run; it is made if it is missing.
        preset: settings to start from: the name of a preset or a TOML file. None: those of the run, if it exists, else the
            defaults.
        mirror: a folder to take public corpora from instead of the network.
        tensorboard: write the figures for TensorBoard too.
        verbose: print progress.
        settings: values of settings by their names, e.g. `level="word"`, `cell="lstm"`, `max_epochs=10`. A name that two
            sections have is given with its section: `train__seed=2`.

    Returns:
        The run.

    Raises:
        UserError: a setting, the data or the folder cannot be used, or another process trains into the folder.
    """
    if run is None:
        raise UserError('train needs the folder of the run: wordseq.train(data, "runs/NAME")')
    folder = Path(run)
    given = section_settings(settings)
    named = {} if data is None else data_settings(data)
    if data is not None and (twice := [key for key in given if key in _SOURCE_KEYS]):
        raise UserError(f"data is given, and {twice[0]} too; give one")
    saved = folder / CONFIG_FILE
    start = os.fspath(preset) if preset is not None else (saved if saved.is_file() else None)
    # The path of data in memory is that of the run's own file: see `train_run`.
    config = load_config(start, (), {**given, **({"data.train": "pairs"} if named is None else named)})
    # The columns of a saved run are those of its own file of pairs.
    columns = {key: value for key, value in given.items() if key in _COLUMN_KEYS}
    pairs = list(pairs_of(data, load_config(None, (), columns).data)) if named is None else None
    if pairs == []:
        raise UserError("data: no pairs in it")
    if os.environ.get("TF_CONFIG"):
        raise UserError("TF_CONFIG is set: several machines train together by the command line, `wordseq train`")
    say = _print if verbose else _silent
    mirrored = Path(mirror) if mirror is not None else None
    # Before TensorFlow is imported, which takes seconds: mistakes in the data are reported at once.
    files = RunFolder(folder)
    corpus = None
    if pairs is None:
        corpus = prepare_run(with_own_pairs(config, files, given=False), files, mirrored, say)
    elif not files.begun:
        # `train_run` writes them for good, and finds what is prepared here.
        check_usable(files)
        with locked(folder), pairs_written(files, pairs, features=bool(config.data.features_column)):
            prepare_run(with_own_pairs(config, files, given=True), files, mirrored, _silent)
    import_tensorflow()
    from wordseq.training.distributed import join
    from wordseq.training.loop import Stopped
    from wordseq.training.run import train_run

    try:
        train_run(
            config,
            folder,
            mirrored,
            say,
            join(None, say),
            tensorboard=tensorboard,
            data=corpus if pairs is None else pairs,
            bar=verbose,
        )
    except Stopped:
        say(f"stopped; saved in {folder}: the same call resumes")
    return Run(folder)


def section_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by `section.name` from keyword arguments: `name`, or `section__name` where two sections have the name.

    Raises:
        UserError: an unknown name, or one that two sections have.
    """
    places: dict[str, list[str]] = {}
    for section, fields in FIELDS.items():
        for name in fields:
            places.setdefault(name, []).append(section)
            places[f"{section}__{name}"] = [section]
    for section, _, name in (key.partition(".") for key in OTHER_NAMES):
        places[name] = places[f"{section}__{name}"] = [section]
    found = {}
    for name, value in settings.items():
        if name not in places:
            raise UserError(f"unknown setting {name!r}{guess_names(name, places)}")
        if len(places[name]) > 1:
            choices = " or ".join(f"{section}__{name}=" for section in places[name])
            raise UserError(f"{name}= is a setting of two sections: write {choices}")
        key = f"{places[name][0]}.{name.rpartition('__')[2]}"
        if key in found:
            raise UserError(f"{key} is given twice")
        found[key] = value
    return found


def load(run: str | os.PathLike[str], *more: str | os.PathLike[str]) -> "Run":
    """Open a run that was trained before, by Python or by the command line.

    Args:
        run: the folder of a run or of an ensemble.
        more: folders of further runs. All of them together are an ensemble: one system, which chooses each token by the mean of
            the runs' probabilities, or with `ensemble="log_probabilities"` by the mean of their logarithms.

    Raises:
        UserError: a folder is missing or is not a run, or the runs do not fit together.
    """
    return Run(run, *more)


class Run:
    """A run folder in use: score it, translate with it, plot its training.

    The model is loaded when it is first needed. Translating from several threads is safe.

    Args:
        folder: of the run.
        more: folders of further runs, for an ensemble; see `load`.

    Raises:
        UserError: a folder is missing or is not a run, or the runs do not fit together.
    """

    def __init__(self, folder: str | os.PathLike[str], *more: str | os.PathLike[str]) -> None:
        self._folders = [str(Path(each)) for each in (folder, *more)]
        self._files = open_run(*map(Path, self._folders))
        self.folder = self._files.folder
        self._loaded: tuple[str, Translator] | None = None
        self._loading = threading.Lock()

    def __repr__(self) -> str:
        return f"wordseq.load({', '.join(map(repr, self._folders))})"

    def __reduce__(self) -> tuple[Callable[..., "Run"], tuple[str, ...]]:
        # A run is its folder: another process loads the model from there.
        return Run, tuple(self._folders)

    @property
    def config(self) -> Config:
        """All settings, such as `run.config.model.cell`."""
        return self._files.config

    @property
    def finished(self) -> str:
        """Why training is over, for example "10 epochs done (train.max_epochs)"; empty while it can be resumed.

        Raises:
            UserError: the run has no checkpoint yet, or it is damaged.
        """
        return str(self._files.header(LAST).state["finished"])

    @cached_property
    def dev(self) -> HeldOut:
        """The validation split, with `sources` and for each a list of `references`."""
        return self._files.held_out("dev")

    @cached_property
    def test(self) -> HeldOut:
        """The test split, with `sources` and for each a list of `references`."""
        return self._files.held_out("test")

    @property
    def translator(self) -> "Translator":
        """The run's best checkpoint, ready to translate; loaded again when training has found a better one.

        Raises:
            UserError: the run has no checkpoint yet, or it is damaged.
        """
        with self._loading:
            sha256 = self._files.header(BEST).sha256
            if self._loaded is None or self._loaded[0] != sha256:
                import_tensorflow()
                from wordseq.decoding.translator import Translator

                self._loaded = sha256, Translator.load(self._files)
            return self._loaded[1]

    def evaluate(
        self,
        sources: Iterable[str | tuple[str, str]] | None = None,
        references: Iterable[str | Sequence[str]] | None = None,
        *,
        tokenize: str = "",
        lowercase: bool = False,
        **decode: Any,
    ) -> Scores:
        """Scores of the held-out test split, or of other sentences; saved in the run's folder `eval/` as well.

        The scores of an ensemble are saved only if the ensemble is: see `save`.

        Args:
            sources: sentences instead of the test split; where they have features, pairs of (word, features).
            references: for each of them a reference, or the list of its references.
            tokenize: sacreBLEU's tokenizer, one of those of `eval.tokenize`; empty: the run's.
            lowercase: score without case.
            decode: settings of the search, see `translate`.

        Raises:
            UserError: the run is not trained, an argument cannot be, or sources and references differ in number.
        """
        from wordseq.evaluation.given import prepare_held_out

        if (sources is None) != (references is None):
            raise UserError("sources and references must be given together")
        held_out = None
        if sources is not None and references is not None:
            held_out = prepare_held_out(self._files, sources, references)
        import_tensorflow()
        from wordseq.evaluation.evaluate import evaluate_run

        return evaluate_run(
            self._files,
            held_out,
            "given" if held_out else "test",
            decode=self._search(decode),
            tokenize=tokenize,
            lowercase=lowercase,
        )

    @overload
    def translate(
        self,
        texts: Iterable[str | tuple[str, str]],
        *,
        split: bool = False,
        nbest: None = None,
        sampling: "Sampling | None" = None,
        **decode: Any,
    ) -> list[str]: ...

    @overload
    def translate(
        self, texts: Iterable[str | tuple[str, str]], *, nbest: int, sampling: "Sampling | None" = None, **decode: Any
    ) -> "list[list[Hypothesis]]": ...

    def translate(
        self,
        texts: Iterable[str | tuple[str, str]],
        *,
        split: bool = False,
        nbest: int | None = None,
        sampling: "Sampling | None" = None,
        **decode: Any,
    ) -> "list[str] | list[list[Hypothesis]]":
        """Translate texts, in their order; an empty text gives an empty translation.

        Args:
            texts: one sentence each, as written. Where sources have features: pairs of (word, features), or WORD, TAB,
                FEATURES.
            split: the texts may have several sentences, which are translated one by one and joined.
            nbest: without `split`: return this number of hypotheses for each text; the beam is made as large.
            sampling: draw at random instead of searching.
            decode: settings of the search in place of the run's: `beam`, `length_penalty`, `max_len_ratio`, `max_len_extra`,
                `batch_size`, `copy_unknown` (False keeps `<unk>`); of an ensemble `ensemble`: "probabilities" or
                "log_probabilities".

        Returns:
            The best translation of each text; with `nbest` a list of hypotheses of each text, best first: `text`, `score`,
            `tokens`, `unknown`.

        Raises:
            TypeError: `texts` is one text, or holds something else.
            UserError: an argument cannot be, or a text is too long.
        """
        search = self._search(decode)
        if split:
            if nbest is not None:
                raise UserError("split and nbest exclude each other: an n-best list belongs to one sentence")
            translator = self.translator
            if translator.src.feature_separator:
                raise UserError(
                    "split: a text of this run is a word and its features, which are not split into sentences"
                )
            from wordseq.decoding.lines import translate_sentences

            listed = text_list("texts", cast(Iterable[str], texts))
            return list(translate_sentences(translator, listed, search, sampling=sampling))
        if nbest is None:
            return [found[0].text for found in self.translator.translate(texts, search, sampling=sampling)]
        if isinstance(nbest, int) and sampling is None and nbest > search.beam_size:
            search = dataclasses.replace(search, beam_size=nbest)
        return self.translator.translate(texts, search, nbest=nbest, sampling=sampling)

    def embed(self, texts: Iterable[str | tuple[str, str]]) -> "npt.NDArray[np.float32]":
        """The encoder's vector for each text, `[n, hidden]`: see `Translator.embed`."""
        return self.translator.embed(texts)

    def save(self, folder: str | os.PathLike[str]) -> "Run":
        """Save an ensemble as a new folder, which every function and command takes as a run.

        The folder names the runs, whose weights stay where they are. It can be moved together with them.

        Returns:
            The saved ensemble.

        Raises:
            UserError: not an ensemble, or the folder exists.
        """
        if not isinstance(self._files, EnsembleFolder):
            raise UserError(f"{self.folder}: not an ensemble; a run is saved in its folder while it is trained")
        self._files.write_to(Path(folder))
        return Run(folder)

    def saved_folder(self, say: Say) -> Path:
        """The folder of the run; an ensemble that is not saved gets one, see `ensemble_beside`, whose errors are raised."""
        if isinstance(self._files, EnsembleFolder) and not self._files.saved:
            return ensemble_beside(self._files.members, say)
        return self.folder

    def pack(
        self, output: str | os.PathLike[str] | None = None, *, with_test: bool = False, verbose: bool = True
    ) -> Path:
        """Write what translating needs, with a model card, as a folder or a .zip.

        Args:
            output: the new folder, or the new file if the name ends in `.zip`. None: beside the run, as RUN-packed.
            with_test: include the sentences of the test split, which `evaluate()` and `compare` need. They are text of the
                corpus: mind its licence.
            verbose: print where it is, its size, and what is missing in it.

        Returns:
            Where it is.

        Raises:
            UserError: the run is not trained, a file of it is damaged, or `output` exists.
        """
        from wordseq.evaluation.card import UNKNOWN_LICENCE, licence_known, model_card
        from wordseq.runs.pack import CARD_FILE, Pack, bytes_of, pack_place, write_pack

        say = _print if verbose else _silent
        place = pack_place(self._files, None if output is None else Path(output))
        pack = Pack.read(self._files, with_test)
        write_pack(pack, model_card(pack), place)
        packed, before = bytes_of(place) / 1e6, bytes_of(self.folder) / 1e6
        say(f"packed {self.folder} into {place}: {packed:.1f} of {before:.1f} MB")
        if not licence_known(pack):
            say(f"{CARD_FILE}: the licence of the data is {UNKNOWN_LICENCE}")
        if pack.evaluation is None:
            say(f"{CARD_FILE}: no scores of this checkpoint: wordseq eval {self.folder}, then pack it again")
        return place

    def export(
        self, output: str | os.PathLike[str] | None = None, format: str = "onnx", *, verbose: bool = True
    ) -> Path:
        """Write the run for other programs into a new folder, by default beside the run; returns where it is.

        Raises:
            UserError: `format` is not "onnx", "web" or "saved_model", a library is missing, or `output` exists.
        """
        from wordseq.export.formats import export_run

        place = None if output is None else Path(output)
        return export_run(self._files, place, format, _print if verbose else _silent)

    def _search(self, given: Mapping[str, Any]) -> DecodeConfig:
        """The run's settings of the search with others in their place."""
        names = list(FIELDS["decode"])
        if "ensemble" in given and not self._files.members:
            raise UserError("ensemble= needs an ensemble, as of wordseq.load(run, other)")
        changed = {}
        for name, value in given.items():
            key = _DECODE_NAMES.get(name, name)
            if key not in names:
                raise UserError(f"unknown setting {name!r}{guess_names(name, [*_DECODE_NAMES, *names])}")
            changed[key] = check_setting("decode", key, value, "settings")
        return dataclasses.replace(self._files.config.decode, **changed)

    @property
    def history(self) -> Any:
        """The log, an entry for each training line and each validation: a DataFrame where pandas is installed, else a list.

        Entries of `kind` "train" have `loss` per token (in nats if `train.loss` is softmax), `learning_rate`, `gradient_norm`,
        `tokens_per_second`; those of `kind` "dev" have `bleu`, `exact`, `ser`, `cer` in percent, `loss` and `best`; all have
        `step`, `epoch` and `seconds`.
        """
        entries = list(self._files.metrics())
        if importlib.util.find_spec("pandas") is None:
            return entries
        import pandas as pd

        return pd.DataFrame(entries)

    def plot(self) -> "Figure":
        """Learning curves: loss of training and validation, and the dev score of `train.select_by`, over updates.

        Raises:
            UserError: matplotlib is missing, or the run has no log yet.
        """
        return _figures().learning_curves(list(self._files.metrics()), self.folder.name, self.config.train.select_by)

    def plot_attention(self, text: str | tuple[str, str], translation: str | None = None) -> "Figure":
        """Which source tokens each token of a translation attended to: a row for each output token.

        Args:
            text: a source sentence; where sources have features, (word, features). Features are labelled in brackets.
            translation: the translation to explain; None: the run's own.

        Raises:
            TypeError: not a text.
            UserError: matplotlib is missing, the model has no attention, or the text is empty.
        """
        figures = _figures()
        from wordseq.text.features import features_fault, prepare_source, with_features, word_of
        from wordseq.text.normalise import prepare

        separator = self.config.data.feature_separator
        (text,) = with_features([text]) if separator else [text]
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got {type(text).__name__}")
        if self.config.model.attention == "none":
            raise UserError(f"{self.folder}: model.attention is 'none': there is no attention to plot")
        from wordseq.comparison.attention import attention_of

        lowercase = self.config.data.lowercase
        if separator and (fault := features_fault(text)):
            raise UserError(f"the text has {fault}")
        source = prepare_source(text, lowercase, separator)
        if not word_of(source):
            raise UserError("the text is empty")
        own = self.translator.tgt.stored(self.translate([text])[0]) if translation is None else ""
        hyp = own if translation is None else prepare(translation, lowercase)
        return figures.attention_map(attention_of(self.translator, [(source, hyp)])[0])


def _figures() -> Any:
    """The module of figures, which needs matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("plots need matplotlib, which is not installed: python -m pip install 'wordseq[report]'")
    from wordseq.api import figures

    return figures


def _print(line: str) -> None:
    print(line, flush=True)


def _silent(line: str) -> None:
    """Print nothing."""
