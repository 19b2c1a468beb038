"""Trains a run: checks the folder, prepares the data, makes the model, runs the training loop."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.debug.lib import check_numerics_callback

from wordseq.batches.batching import padding_share, plan_epoch
from wordseq.batches.epochs import EpochPairs, samplers_for
from wordseq.batches.id_store import IdStore
from wordseq.batches.prepare import Prepared
from wordseq.config.auto import Facts, decide, decided_values
from wordseq.config.fields import is_auto
from wordseq.config.schema import AUTO_KEYS, Config, ModelConfig, by_key, is_open, with_value
from wordseq.data.cleaning import describe
from wordseq.data.columns import shortened
from wordseq.data.pairs import Pair
from wordseq.data.splits import HELD_OUT_FILE
from wordseq.decoding.translator import Translator
from wordseq.evaluation.metrics.names import WORDS, dev_score
from wordseq.evaluation.metrics.symbols import SUBWORD_MARK, has_subwords, target_symbols, task_of
from wordseq.evaluation.metrics.tokenizing import bleu_tokenizer, tokenizer_note
from wordseq.models.build import model_for
from wordseq.models.matmul import resolve_precision
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.checkpoint import Arrays
from wordseq.runs.data import check_folder, check_place, pairs_written, prepare_run, with_own_pairs
from wordseq.runs.folder import (
    BEST,
    CONFIG_FILE,
    DATA_FILE,
    LAST,
    MEMORY_FILE,
    PRETRAINED,
    SPLIT_FILE,
    RunFolder,
    SrcLengths,
)
from wordseq.runs.word_vectors import check_vectors, read_vectors, vector_size
from wordseq.system.environment import check_fork
from wordseq.system.errors import UserError
from wordseq.system.locks import locked
from wordseq.system.platform import commit, machine, peak_memory
from wordseq.system.progress import Say, counted
from wordseq.text.rare_words import spelling_line
from wordseq.text.tokenizers import WordTokenizer
from wordseq.text.vocab import TextCodec
from wordseq.training.distributed import ALONE, Follower, Team
from wordseq.training.loop import Progress, Reporter, over, train_model
from wordseq.training.progress import TrainingProgress
from wordseq.training.tensorboard import Board, how_to_look
from wordseq.training.validation import Validator


def train_run(
    config: Config,
    folder: Path,
    mirror: Path | None = None,
    say: Say = print,
    team: Team = ALONE,
    *,
    tensorboard: bool = False,
    data: Prepared | Iterable[Pair] | None = None,
    bar: bool = True,
) -> Progress:
    """Train a run in `folder`; resume if the folder holds the same run.

    All processes of a team call this. Only the chief writes its folder. The others prepare their data beside theirs, which may
    be the same folder or one on their own disk.

    Args:
        config: the settings.
        folder: of the run.
        mirror: a folder to take public corpora from.
        say: is called with each line of progress.
        team: the processes that train together.
        tensorboard: also write event files for TensorBoard.
        data: the data as `prepare_run` prepared them; or pairs in memory, which are written to the run's `PAIRS_FILE`, which
            takes the place of `data.train`. None: they are prepared now.
        bar: show a progress bar on a terminal or in a notebook.

    Returns:
        The state at the end of training.

    Raises:
        UserError: the settings, the data or the folder cannot be used, another process trains this run, or TensorFlow cannot
            train where it is called.
        Stopped: training was interrupted, and saved.
    """
    check_fork()
    _check_caller()
    config = _resolved(config, team)
    run = RunFolder(folder) if team.chief else Follower(folder)
    corpus, pairs = (data, None) if isinstance(data, Prepared) else (None, data)
    config = with_own_pairs(config, run, pairs is not None)
    if team.chief:
        check_folder(run, config)
    check_place(run)
    if not run.begun:
        for path in _vector_files(config).values():
            check_vectors(path, _vector_size(config) or config.model.embed_dim)
    if not team.chief:
        return _train(run, config, prepare_run(config, run, mirror, say), say, team)
    with locked(folder):
        check_folder(run, config)  # Again: before the lock, another process may have started the run.
        with pairs_written(run, pairs, features=bool(config.data.features_column)):
            if corpus is None or (run.begun and not _has_codecs(corpus, run)):
                corpus = prepare_run(config, run, mirror, say)
            return _train(run, config, corpus, say, team, tensorboard, bar)


def _has_codecs(corpus: Prepared, run: RunFolder) -> bool:
    """Whether the data have the vocabularies of the run, which another process may have started after they were prepared."""
    return [codec.sha256 for codec in corpus.codecs] == [codec.sha256 for codec in run.codecs]


def _train(
    run: RunFolder,
    config: Config,
    corpus: Prepared,
    say: Say,
    team: Team,
    tensorboard: bool = False,
    bar: bool = True,
) -> Progress:
    finished = team.from_chief(_finished(run, config) if team.chief else "")
    if finished:
        say(finished)
    # What follows is still done for a finished run, as it checks the data; only its lines are left out.
    tell = _silent if finished else say
    given, config = config, _decided(config, run, corpus, team)
    for line in (*describe(corpus.split), tokenizer_note(config.eval.tokenize, corpus.dev.references)):
        if line:
            tell(line)
    src, tgt = corpus.codecs
    _check_lengths(config, corpus)
    _check_selection(config, corpus)
    digests = {f"sha256 of the {part} part": corpus.split[part]["sha256"] for part in ("train", "dev", "test")}
    sides = zip(("source", "target"), corpus.codecs, strict=True)
    digests |= {f"sha256 of the {side} vocabulary": codec.sha256 for side, codec in sides}
    # Each process prepares its own data. Different data would train without an error, and wrong.
    team.check_equal(digests, "the training data")
    asked = by_key(given)
    _begin(run, config, corpus, [key for key in AUTO_KEYS if is_auto(asked[key])])
    for line in _describe_data(run, config.model, (src, tgt)):
        tell(line)
    with team.scope():
        model = model_for(config, src, tgt, precision=config.train.precision)
        _set_vectors(run, model, _vector_files(config))
    translator = Translator(model, src, tgt, config, run.tgt_per_src, run.src_lengths)
    with _epoch_pairs(run, config, corpus) as pairs:
        epoch = team.from_chief(_epoch(run) if pairs.sampled and team.chief else 1)
        stores = corpus.stores if finished else pairs.of(epoch)
        plan = plan_epoch(*stores, config.train, epoch)
        batches = f"{counted(len(plan), 'batch')} per epoch, {padding_share(*stores, plan):.1%} padding"
        for line in _describe_training(run, given, config, model, batches):
            tell(line)
        with TrainingProgress(config.train, len(plan), say, shown=bar, compiles=not finished) as reporter:
            if tensorboard:
                say(how_to_look(run.folder))
            reports: Reporter = Board(run, reporter) if tensorboard else reporter
            validator = Validator(translator, corpus.dev)
            progress = train_model(run, model, pairs, config.train, validator, reports, team)
    best = dev_score(config.train.select_by, progress.best_score)
    tell(f"finished: {progress.finished}; best {best} at update {progress.best_step}")
    # A finished run that is started again keeps the figures of the process that trained it.
    if reporter.updated:
        run.write_json(MEMORY_FILE, {"peak_bytes": peak_memory(), "machine": machine(), "wordseq": commit()})
    return progress


def _finished(run: RunFolder, config: Config) -> str:
    """Why there is nothing to train, and what to type to train further; empty if there is something."""
    if not (run.begun and run.has(LAST) and run.has(BEST)):
        return ""
    try:
        reason = over(config.train, Progress(**run.header(LAST).state))
    except (UserError, TypeError):  # Damaged: resuming reports it, and takes the checkpoint before.
        reason = ""
    if not reason:
        return ""
    setting = reason.rpartition("(")[2].rstrip(")")
    return (
        f"{run.folder} is finished: {reason}. To train further, set {setting} higher: "
        f"--set {setting}=N, or {setting.partition('.')[2]}=N in Python"
    )


def _epoch_pairs(run: RunFolder, config: Config, corpus: Prepared) -> EpochPairs:
    """The training pairs of each epoch; what is drawn for them is in the folder of the run, if this process has it."""
    samplers = samplers_for(corpus.codecs, config.train.subword_sampling)
    folder = run.folder if run.folder.is_dir() else None
    return EpochPairs(corpus.stores, samplers, seed=config.train.seed, last=config.train.max_epochs, folder=folder)


def _epoch(run: RunFolder) -> int:
    """The epoch that a run is in; 1 if there is no checkpoint, or a damaged one, which resuming reports."""
    try:
        return Progress(**run.header(LAST).state).epoch if run.has(LAST) else 1
    except (UserError, TypeError):
        return 1


def _silent(line: str) -> None:
    """Print nothing."""


def _resolved(config: Config, team: Team) -> Config:
    """The settings, with "auto" and 0 replaced by what the chief's machine has. So a run resumes unchanged on another machine.

    Raises:
        UserError: a process of the team has other settings, or the shards cannot be divided evenly among the replicas.
    """
    # Without `data.`: paths may differ between machines. The data itself is compared later.
    team.check_equal({key: value for key, value in by_key(config).items() if not key.startswith("data.")}, "settings")
    train = config.train
    precision, shards = team.from_chief([resolve_precision(train.precision), train.shards or team.parts])
    if shards % team.replicas:
        raise UserError(
            f"train.shards = {shards} cannot be divided evenly among {team.replicas} devices; set a multiple of "
            f"{team.replicas} (a run keeps the train.shards that it was started with)"
        )
    return dataclasses.replace(config, train=dataclasses.replace(train, precision=precision, shards=shards))


def _decided(config: Config, run: RunFolder, corpus: Prepared, team: Team) -> Config:
    """The settings with what the data decides: those that are "auto", and the tokenizer for BLEU.

    A run keeps what its first process decided. So it resumes with the same settings, by any version of the rules and on any
    machine.
    """
    found = {}
    if team.chief:
        saved = run.config if run.begun else decide(config, _facts(config, corpus))
        found = {key: by_key(saved)[key] for key, value in by_key(config).items() if is_open(key, value)}
        found["eval.tokenize"] = bleu_tokenizer(run.config if run.begun else config, corpus.dev.references)
    for key, value in team.from_chief(found).items():
        config = with_value(config, key, value)
    return config


def _facts(config: Config, corpus: Prepared) -> Facts:
    """What the rules for settings depend on."""
    return Facts(
        pairs=len(corpus.stores[0]),
        levels=(config.data.level_of("src"), config.data.level_of("tgt")),
        words=task_of(target_symbols(config.data), corpus.dev.references) == WORDS,
        subword_size=corpus.split["subword_size"],
        vector_size=_vector_size(config),
    )


def _check_caller() -> None:
    """Check what the calling program has opened in TensorFlow, which would fail later and deep inside.

    Raises:
        UserError: it is one of the things that training cannot work in.
    """
    if tf.distribute.has_strategy():
        raise UserError(
            "training is called within the scope of a tf.distribute strategy; call it outside: it has its own"
        )
    if not tf.executing_eagerly():
        raise UserError("training is called within a tf.Graph or a tf.function; call it outside")
    if hasattr(check_numerics_callback._state, "check_numerics_callback"):
        raise UserError(
            "tf.debugging.enable_check_numerics() is on; XLA cannot compile with it: disable_check_numerics()"
        )


def _check_lengths(config: Config, corpus: Prepared) -> None:
    """Check that no target is longer than its source, for a model with one output for each input.

    Raises:
        UserError: a training target has more tokens than its source.
    """
    if config.model.kind != "same_length":
        return
    src, tgt = corpus.stores
    longer = np.flatnonzero(tgt.lengths > src.lengths)
    if len(longer):
        first = int(longer[0])
        sides = zip(corpus.codecs, corpus.stores, strict=True)
        source, target = (codec.to_text(store[first]) for codec, store in sides)
        raise UserError(
            f"model.kind = 'same_length' has one output token for each source token, but {len(longer):,} of {len(src):,} "
            f"training targets have more tokens than their sources, e.g. {target!r} for {source!r}"
        )


def _check_selection(config: Config, corpus: Prepared) -> None:
    """Check that the dev references have the score of `train.select_by`.

    Raises:
        UserError: it is F1, and they have no subwords.
    """
    if config.train.select_by == "f1" and not has_subwords(target_symbols(config.data), corpus.dev.references):
        raise UserError(
            f"train.select_by = 'f1' is F1 of subwords, but the dev references have none, e.g. "
            f"{shortened(corpus.dev.references[0][0])}; expected {SUBWORD_MARK!r} before each but the first, or another string "
            "between them, which data.tgt_separator names; else choose exact or ser"
        )


def _begin(run: RunFolder, config: Config, corpus: Prepared, decided: Sequence[str]) -> None:
    """Write the fixed files of the run folder, or check that they were written for the same data.

    Args:
        run: the run.
        config: its settings.
        corpus: its data.
        decided: the settings that the data decided.

    Raises:
        UserError: the run was started with other data, or a file is damaged.
    """
    if run.begun:
        before = run.read_json(SPLIT_FILE)
        for part in ("train", "dev", "test"):
            with _naming_damage(run, SPLIT_FILE):
                sha256 = before[part]["sha256"]
            if sha256 != corpus.split[part]["sha256"]:
                raise UserError(f"{run.folder}: the {part} data are not those that the run was started with")
        run.write_config(config)
        return
    # Tokens with one EOS per sentence.
    src, tgt = (len(store.flat) + len(store) for store in corpus.stores)
    vectors, figures = _read_vectors(config, corpus)
    data = {
        "tgt_per_src": tgt / src,
        "src_tokens": _lengths(corpus.stores[0])._asdict(),
        "coverage": corpus.coverage,
        "decided": decided,
        **({"pretrained": figures} if figures else {}),
    }
    held_out = {part: dataclasses.asdict(getattr(corpus, part)) for part in ("dev", "test")}
    run.begin(config, *corpus.codecs, {SPLIT_FILE: corpus.split, DATA_FILE: data, HELD_OUT_FILE: held_out}, vectors)


def _lengths(src: IdStore) -> SrcLengths:
    lengths = src.lengths
    return SrcLengths(int(np.quantile(lengths, 0.99, method="higher")), int(lengths.max()))


@contextlib.contextmanager
def _naming_damage(run: RunFolder, name: str) -> Iterator[None]:
    """Turns lookup errors in a JSON file of the run into a UserError that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{run.folder / name}: damaged: {error!r}") from None


def _describe_data(run: RunFolder, model: ModelConfig, codecs: tuple[TextCodec, TextCodec]) -> list[str]:
    """Lines on the vocabularies and their coverage, and on the coverage of pretrained word vectors."""
    lines, found = [], run.read_json(DATA_FILE)
    with _naming_damage(run, DATA_FILE):
        for side, codec in zip(("src", "tgt"), codecs, strict=True):
            shares = {part: found["coverage"][side][part]["share"] for part in ("train", "dev")}
            covered = ", ".join(f"{share:.2%} of {part} tokens" for part, share in shares.items())
            train = found["coverage"][side]["train"]
            known = spelling_line(found["coverage"][side]) if codec.vocab.speller else f"knows {covered}"
            examples = ", ".join(f"{word} -> {read}" for word, read in train.get("twin_examples", {}).items())
            twins = f"; read as known words: {counted(train['twins'], 'training word')}, {examples}" if examples else ""
            lines.append(f"{side}: {_level_text(codec)}{_form_text(codec)}, {len(codec.vocab):,} ids, {known}{twins}")
        for side, figures in found.get("pretrained", {}).items():
            skipped = f"; {counted(figures['skipped_lines'], 'bad line')} left out" if figures["skipped_lines"] else ""
            lines.append(
                f"{side} vectors{' (frozen)' if model.freeze_pretrained else ''}: {figures['found']:,} of "
                f"{figures['vocabulary']:,} tokens of the vocabulary ({figures['share']:.1%}; "
                f"{figures['lower_case']:,} in lower case only), {figures['token_share']:.1%} of training tokens; "
                f"standard deviation {figures['deviation']:.2f}, of other tokens {model.embed_scale:g}{skipped}"
            )
    return lines


def _describe_training(run: RunFolder, given: Config, config: Config, model: Seq2Seq, batches: str) -> Iterator[str]:
    """Lines on the model, its batches and the training.

    Args:
        run: the run.
        given: the settings before any was decided.
        config: the settings.
        model: of the run.
        batches: what the line on the model ends with.
    """
    parameters = counted(model.count_params(), "parameter")
    yield f"model: {config.model.cell}, {parameters}, {config.train.precision} products; {batches}"
    if found := decided_values(given, config):
        yield f"settings by the size and level of the data: {found}; --set SECTION.KEY=VALUE chooses another"
    yield f"all settings: {run.folder / CONFIG_FILE}"
    if config.train.average:
        yield f"weights: validated and kept as best are their moving averages (train.average {config.train.average:g})"
    if config.train.subword_sampling:
        yield f"subwords: drawn anew in each epoch (train.subword_sampling {config.train.subword_sampling:g})"


def _level_text(codec: TextCodec) -> str:
    """What a token is, for the line on a vocabulary."""
    tokenizer = codec.tokenizer
    if isinstance(tokenizer, WordTokenizer) and tokenizer.separator:
        return f"{'symbols' if tokenizer.level == 'symbols' else 'words'} separated by {tokenizer.separator!r}"
    return f"{tokenizer.level} level{': one symbol per code point' if tokenizer.level == 'char' else ''}"


def _form_text(codec: TextCodec) -> str:
    """The Unicode forms of a codec that are not NFC, for the line on a vocabulary."""
    seen = f", in {codec.form}" * (codec.form != "NFC")
    return seen + f", written in {codec.written} as in the training file" * (codec.written != "NFC")


def _vector_files(config: Config) -> dict[str, Path]:
    """Files of word vectors, by "src" and "tgt"."""
    return {side: Path(path) for side in ("src", "tgt") if (path := getattr(config.model, f"pretrained_{side}"))}


def _vector_size(config: Config) -> int:
    """The size of pretrained word vectors, if embeddings are to get it; else 0."""
    return next(map(vector_size, _vector_files(config).values()), 0) if is_auto(config.model.embed_dim) else 0


def _read_vectors(config: Config, corpus: Prepared) -> tuple[Arrays, dict[str, Any]]:
    """Pretrained word vectors as arrays of the run, and their coverage by "src" and "tgt"."""
    arrays: Arrays = {}
    figures = {}
    sides = dict(zip(("src", "tgt"), zip(corpus.codecs, corpus.stores, strict=True), strict=True))
    for side, path in _vector_files(config).items():
        codec, store = sides[side]
        found = read_vectors(path, codec, config.model.embed_dim, config.data.on_bad_line)
        arrays |= {f"{side}.ids": found.ids_n, f"{side}.vectors": found.vectors_ne}
        figures[side] = found.coverage(codec, store)
    return arrays, figures


def _set_vectors(run: RunFolder, model: Seq2Seq, sides: Iterable[str]) -> None:
    """Initialise embeddings with the pretrained vectors of the run. A checkpoint that is restored later replaces them.

    Raises:
        UserError: the run's file of vectors is missing or damaged.
    """
    for side in sides:
        arrays, _ = run.load(PRETRAINED)
        try:
            ids_n, vectors_ne = arrays[f"{side}.ids"], arrays[f"{side}.vectors"]
            model.set_vectors(side, ids_n, vectors_ne, freeze=model.config.freeze_pretrained)
        except Exception as error:  # Any mismatch: a missing array, an id or a size of another model.
            raise UserError(f"{run.path_of(PRETRAINED)}: damaged: {error}") from None
