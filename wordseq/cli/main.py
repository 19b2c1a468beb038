"""The command line: `wordseq data | train | eval | translate | embed | describe | compare | report | sweep | bench`."""

import argparse
import contextlib
import errno
import importlib.metadata
import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordseq.benchmark.settings import (
    GATES,
    GROWTH,
    GROWTH_SETTINGS,
    PARTS_SETTINGS,
    QUICK,
    QUICK_SIZES,
    SYSTEMS,
    BenchSettings,
)
from wordseq.config.load import load_config
from wordseq.config.schema import SECTIONS, DecodeConfig
from wordseq.system.errors import UserError
from wordseq.system.files import write_atomically
from wordseq.system.signals import handled
from wordseq.system.tensorflow import import_tensorflow
from wordseq.training.cluster import VARIABLE, read_cluster

if TYPE_CHECKING:
    from wordseq.comparison.scored_runs import ScoredRun
    from wordseq.comparison.sweep import SweepRun

BROKEN_PIPE = 141
"""As the shell sees a program that SIGPIPE ended: `cat`, `grep` and all the others."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 2 for a mistake of the user's, 130 when interrupted, 141 without a reader."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.command_line = _command_line(sys.argv[1:] if arguments is None else arguments)
    try:
        # SIGTERM ends a command as Ctrl-C does: with a line, its files put away and its processes ended.
        with handled(signal.default_int_handler, signal.SIGTERM):
            code = options.run_command(options) or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # The reader of our output went away, which is its right.
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        _drop_output()
        return _fail(_os_message(error))
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        return _fail("out of memory; a smaller batch, beam, model.hidden_size or vocabulary needs less")


def _command_line(words: Sequence[str]) -> str:
    """What was typed, for records, which travel to other machines: of absolute paths only the name."""
    return shlex.join(["wordseq", *(Path(word).name if os.path.isabs(word) else word for word in words)])


def _drop_output() -> None:
    """What cannot be written any more shall not be tried again when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_out_of_memory(error: Exception) -> bool:
    tf = sys.modules.get("tensorflow")
    return isinstance(error, MemoryError) or (tf is not None and isinstance(error, tf.errors.ResourceExhaustedError))


def _fail(message: str, code: int = 2) -> int:
    print(f"wordseq: error: {message}", file=sys.stderr)
    return code


def _os_message(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    hint = "; free some space and give the same command again" if error.errno == errno.ENOSPC else ""
    return f"{where}{error.strerror or error}{hint}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wordseq",
        description="Recurrent sequence-to-sequence models on sentence pairs.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"wordseq {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    adds = (_add_data, _add_train, _add_eval, _add_translate, _add_embed, _add_describe)
    for add in (*adds, _add_compare, _add_report, _add_sweep, _add_bench):
        add(commands)
    return parser


def _version() -> str:
    try:
        return importlib.metadata.version("wordseq")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _command(commands: Any, name: str, run: Any, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    parser.set_defaults(run_command=run)
    return parser


def _add_data(commands: Any) -> None:
    parser = _command(commands, "data", _data_list, "list the corpora, or fetch one")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _command(actions, "list", _data_list, "the corpora that data.corpus may name")
    get = _command(actions, "get", _data_get, "fetch a public corpus into data/NAME")
    get.add_argument("name", metavar="NAME", help="see `wordseq data list`")
    _add_mirror(get)


def _add_mirror(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mirror", type=Path, metavar="FOLDER", help="take public corpora from a folder (WORDSEQ_MIRROR does the same)"
    )


def _data_list(_: argparse.Namespace) -> None:
    from wordseq.data.public import DATASETS, OPEN_NAMES
    from wordseq.data.synthetic import SYNTHETIC

    rows = [(name, task.description, "made here") for name, task in SYNTHETIC.items()]
    rows += [(name, dataset.description, dataset.licence) for name, dataset in DATASETS.items()]
    width = max(len(name) for name, _, _ in rows)
    for name, description, licence in rows:
        print(f"{name:{width}}  {description} ({licence})")
    print(f"and {OPEN_NAMES}")


def _data_get(options: argparse.Namespace) -> None:
    from wordseq.data.public import DEFAULT_FOLDER, find_dataset, get
    from wordseq.data.synthetic import SYNTHETIC

    if options.name in SYNTHETIC:
        print(f"{options.name} is made by wordseq itself: nothing to fetch")
        return
    dataset = find_dataset(options.name)
    if dataset is None:
        raise UserError(f"unknown corpus {options.name!r}; `wordseq data list` names them")
    for path in get(dataset, DEFAULT_FOLDER, options.mirror).values():
        print(path)


def _add_train(commands: Any) -> None:
    parser = _command(commands, "train", _train, "train a run, or continue it, then score its held-out test split")
    parser.add_argument("config", type=Path, nargs="?", metavar="CONFIG.toml", help="settings; default: the phrasebook")
    parser.add_argument("--run", type=Path, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, e.g. model.cell=lstm; repeatable"
    )
    parser.add_argument("--list-settings", action="store_true", help="print every setting with its default, and stop")
    _add_mirror(parser)


def _train(options: argparse.Namespace) -> int | None:
    if options.list_settings:
        print(_settings())
        return 0
    if options.run is None:
        raise UserError("train needs --run DIR, the folder to train into")
    saved = options.run / "config.toml"
    config = load_config(options.config or (saved if saved.is_file() else None), options.set)
    cluster = read_cluster(os.environ.get(VARIABLE))
    import_tensorflow(start=cluster is None)
    from wordseq.evaluation.evaluate import evaluate_run
    from wordseq.evaluation.tables import terminal_table
    from wordseq.runs.folder import Run
    from wordseq.training.distributed import join
    from wordseq.training.loop import Stopped
    from wordseq.training.run import train_run

    team = join(cluster, _say)
    chief = "" if team.chief else f" by {team.name(0)}"
    try:
        with team.watched():
            progress = train_run(config, options.run, options.mirror, _say, team)
    except Stopped:
        same = "the same command continues" if team.processes == 1 else "the same commands continue"
        print(f"stopped; saved in {options.run}{chief}: {same}", file=sys.stderr)
        return 130
    print(f"finished: {progress.finished}; best dev BLEU {progress.best_bleu:.2f} at update {progress.best_step}")
    if not team.chief:
        print(f"the run is written and scored{chief}")
        return 0
    result = evaluate_run(Run.open(options.run), command=options.command_line)
    print(terminal_table(result))
    print(f"held-out test BLEU {result['bleu']['score']:.2f}  ({options.run / 'eval' / 'test.txt'})")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _settings() -> str:
    """Every setting: its key, default, meaning and what is allowed."""
    lines = []
    for section, kind in SECTIONS.items():
        for field in fields(kind):
            choices = field.metadata["choices"]
            allowed = f" ({', '.join(map(repr, choices))})" if choices else ""
            lines.append(f"{section}.{field.name} = {json.dumps(field.default)}\n    {field.metadata['doc']}{allowed}")
    return "\n".join(lines)


def _add_eval(commands: Any) -> None:
    parser = _command(commands, "eval", _eval, "score a run on its held-out test split, or on files")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a trained run")
    parser.add_argument("--src", type=Path, metavar="FILE", help="sources instead of the test split, a sentence a line")
    parser.add_argument(
        "--ref", type=Path, action="append", default=[], metavar="FILE", help="references of --src; repeatable"
    )
    _add_decode(parser)
    parser.add_argument(
        "--tokenize", default="", choices=("13a", "char", "intl", "none", "zh"), help="sacreBLEU's tokenizer"
    )
    parser.add_argument("--lowercase", action="store_true", help="score without case")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the figures, without sentences, as JSON")


def _eval(options: argparse.Namespace) -> None:
    if bool(options.src) != bool(options.ref):
        raise UserError("--src and --ref go together")
    import_tensorflow()
    from wordseq.evaluation.evaluate import evaluate_run, read_files
    from wordseq.evaluation.records import record_of
    from wordseq.evaluation.tables import examples, terminal_table
    from wordseq.runs.folder import Run

    run = Run.open(options.run)
    held_out = read_files(run, options.src, options.ref) if options.src else None
    result = evaluate_run(
        run,
        held_out,
        options.src.name if options.src else "test",
        decode=_decode_settings(run.config.decode, options),
        tokenize=options.tokenize,
        lowercase=options.lowercase,
        command=options.command_line,
    )
    if options.record:
        write_atomically(options.record, (json.dumps(record_of(run, result), indent=1) + "\n").encode())
    print(
        json.dumps(result, ensure_ascii=False, indent=1) if options.json else terminal_table(result) + examples(result)
    )


def _add_decode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--beam", type=_positive, metavar="N", help="hypotheses kept; 1 is greedy")
    parser.add_argument("--copy-unknown", action="store_true", help="put the source word where the output is <unk>")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16", "auto"), default="", help="of the products; bfloat16 is faster"
    )


def _decode_settings(decode: DecodeConfig, options: argparse.Namespace) -> DecodeConfig:
    return replace(
        decode,
        beam_size=options.beam or decode.beam_size,
        copy_unknown=options.copy_unknown or decode.copy_unknown,
        precision=options.precision or decode.precision,
    )


def _whole(text: str, lowest: int) -> int:
    """A whole number that TensorFlow can hold."""
    with contextlib.suppress(ValueError):
        if lowest <= int(text) < 2**31:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from {lowest} to {2**31 - 1}")


def _positive(text: str) -> int:
    return _whole(text, 1)


def _seed(text: str) -> int:
    return _whole(text, 0)


def _within(text: str, lowest: float, highest: float) -> float:
    with contextlib.suppress(ValueError):
        if lowest <= float(text) <= highest:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be a number from {lowest:g} to {highest:g}")


def _temperature(text: str) -> float:
    return _within(text, 1e-3, 1e3)


def _share(text: str) -> float:
    return _within(text, 1e-6, 1.0)


def _add_translate(commands: Any) -> None:
    parser = _command(commands, "translate", _translate, "translate lines of text: a file, a pipe, or what is typed")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a trained run")
    parser.add_argument("--input", type=Path, metavar="FILE", help="default: standard input")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    parser.add_argument(
        "--resume", action="store_true", help="keep the lines that --output has and go on after them, as after a kill"
    )
    _add_decode(parser)
    parser.add_argument(
        "--nbest", type=_positive, default=1, metavar="N", help="so many lines a line: score, TAB, text"
    )
    parser.add_argument("--sample", action="store_true", help="draw at random instead of searching")
    parser.add_argument(
        "--temperature", type=_temperature, default=1.0, metavar="T", help="with --sample: below 1 is bolder"
    )
    parser.add_argument(
        "--top-k", type=_positive, default=0, metavar="K", help="with --sample: of the K likeliest tokens"
    )
    parser.add_argument(
        "--top-p", type=_share, default=1.0, metavar="P", help="with --sample: of the likeliest P of probability"
    )
    parser.add_argument("--seed", type=_seed, default=1, help="with --sample")


def _translate(options: argparse.Namespace) -> None:
    if options.nbest > 1 and options.sample:
        raise UserError("--nbest and --sample exclude each other")
    import_tensorflow()
    from wordseq.decoding.stream import translate_file, translate_lines
    from wordseq.decoding.translator import Sampling, Translator
    from wordseq.runs.folder import Run

    decode = _decode_settings(Run.open(options.run).config.decode, options)
    if options.nbest > decode.beam_size:
        decode = replace(decode, beam_size=options.nbest)
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.seed) if options.sample else None
    translator = Translator.load(options.run, precision=decode.precision)
    translate = partial(translate_lines, translator, decode=decode, nbest=options.nbest, sampling=sampling)
    translate_file(translator, translate, options.input, options.output, nbest=options.nbest, resume=options.resume)


def _add_embed(commands: Any) -> None:
    parser = _command(commands, "embed", _embed, "the encoder's vector for each line of text")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a trained run")
    parser.add_argument("--input", type=Path, metavar="FILE", help="default: standard input")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.npy",
        help="a NumPy file, float32 [lines, hidden]; default: standard output, a line of numbers each",
    )


def _embed(options: argparse.Namespace) -> None:
    import_tensorflow()
    from wordseq.decoding.stream import embed_file
    from wordseq.decoding.translator import Translator

    translator = Translator.load(options.run)
    embed_file(translator, translator.embed, options.input, options.output)


def _add_describe(commands: Any) -> None:
    parser = _command(commands, "describe", _describe, "layers, parameters and settings of a run")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a trained run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="draw the model as trained, its encoder and a step of its decoder"
    )


def _describe(options: argparse.Namespace) -> None:
    from wordseq.runs.describe import describe_run, draw_run
    from wordseq.runs.folder import Run

    run = Run.open(options.run)
    found = describe_run(run)
    if options.svg:
        write_atomically(options.svg, draw_run(run, found).encode())
    if options.json:
        print(json.dumps(found, indent=1))
        return
    width = max(len(layer["name"]) for layer in found["layers"])
    for layer in found["layers"]:
        shapes = ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in layer["shapes"].items())
        print(f"{layer['name']:{width}} {layer['parameters']:>12,}  {shapes}")
    print(f"{'all':{width}} {found['parameters']:>12,}")
    print(f"best at update {found['step']:,}; sha256 of its weights {found['weights_sha256']}")


def _add_bench(commands: Any) -> None:
    parser = _command(commands, "bench", _bench, "measure the speed of training and decoding on this machine")
    parser.add_argument("--cells", nargs="+", choices=tuple(GATES), help=f"default: {' '.join(BenchSettings.cells)}")
    parser.add_argument("--precisions", nargs="+", choices=BenchSettings.precisions, help="of training; default: all")
    parser.add_argument("--systems", nargs="+", choices=tuple(SYSTEMS), help="default: all that are installed")
    parser.add_argument(
        "--torch", metavar="PYTHON", help="an interpreter that has PyTorch; default: this one, if it has"
    )
    parser.add_argument("--run", type=Path, metavar="RUN", help="a trained run, for the decoding figures of its cell")
    parser.add_argument("--blocks", type=_positive, metavar="N", help="timed blocks a system")
    parser.add_argument("--steps", type=_positive, metavar="N", help="updates a block")
    parser.add_argument("--threads", type=_positive, metavar="N", help="processor cores; default: all")
    parser.add_argument(
        "--quick", action="store_true", help="try everything out in two minutes; the figures mean little"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--grow", choices=tuple(GROWTH), help="how training's speed and memory change with one size")
    instead.add_argument("--parts", action="store_true", help="where the time of a training step goes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the figures as JSON")
    _add_mirror(parser)


def _bench(options: argparse.Namespace) -> None:
    _check_record(options.record)
    from wordseq.benchmark.measure import measure_growth, measure_parts, measure_speed
    from wordseq.benchmark.tables import bench_table, grow_table, parts_table
    from wordseq.benchmark.workload import reference_task

    for name in ("systems", "torch", "run"):
        if (options.grow or options.parts) and getattr(options, name):
            raise UserError(f"--{name} does not go with --grow and --parts, which measure wordseq alone, untrained")
    settings = _bench_settings(options)
    if options.grow:
        result, table = measure_growth(options.grow, settings, _note), grow_table
    elif options.parts:
        result, table = measure_parts(reference_task(options.mirror, _note), settings, _note), parts_table
    else:
        result, table = measure_speed(reference_task(options.mirror, _note), settings, _note), bench_table
    result["command"] = options.command_line
    if options.record:
        write_atomically(options.record, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result, indent=1) if options.json else table(result), end="\n" if options.json else "")


def _bench_settings(options: argparse.Namespace) -> BenchSettings:
    """What was asked for in place of what is usual."""
    usual = GROWTH_SETTINGS if options.grow else PARTS_SETTINGS if options.parts else BenchSettings()
    if options.quick:
        usual = replace(usual, **{name: getattr(QUICK, name) for name in QUICK_SIZES})
    given = ("cells", "precisions", "systems", "torch", "run", "blocks", "steps", "threads")
    asked: dict[str, Any] = {name: getattr(options, name) for name in given if getattr(options, name) is not None}
    for name in ("cells", "precisions", "systems"):
        if name in asked:
            asked[name] = tuple(dict.fromkeys(asked[name]))
    return replace(usual, **asked)


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _add_compare(commands: Any) -> None:
    parser = _command(commands, "compare", _compare, "scores and cost of runs side by side, with paired tests")
    parser.add_argument("run", type=Path, nargs="+", metavar="RUN", help="folders of trained runs, the baseline first")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    _add_comparison_record(parser)
    _add_html(parser)


def _add_comparison_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write all figures, also averaged over seeds, as JSON"
    )


def _add_report(commands: Any) -> None:
    parser = _command(commands, "report", _report, "one HTML page about runs: curves, scores, translations, attention")
    parser.add_argument("run", type=Path, nargs="+", metavar="RUN", help="folders of trained runs, the baseline first")
    _add_html(parser, required=True)


def _add_html(parser: argparse.ArgumentParser, required: bool = False) -> None:
    parser.add_argument(
        "--html", type=Path, metavar="FILE", required=required, help="write the page of `wordseq report`"
    )


def _compare(options: argparse.Namespace) -> None:
    _check_files(options)
    runs, result = _compared(options, options.run)
    _write_record(options, runs, result)
    _print_comparison(options, result)
    _write_page(options, runs, result)


def _check_record(path: Path | None) -> None:
    if path and not path.absolute().parent.is_dir():
        raise UserError(f"--record {path}: no folder {path.absolute().parent}")


def _check_files(options: argparse.Namespace) -> None:
    """What takes long shall not end with a folder that is missing, or a record that a page replaces."""
    record, page = options.record, options.html
    _check_record(record)
    if record and page and record.resolve() == page.resolve():
        raise UserError(f"--record {record} and --html {page} are the same file")
    if page:
        from wordseq.comparison.page.html import check_page_file

        check_page_file(page)


def _write_record(options: argparse.Namespace, runs: Sequence["ScoredRun"], result: dict[str, Any]) -> None:
    if options.record:
        from wordseq.comparison.record import comparison_record

        record = comparison_record(runs, result, options.record.stem)
        write_atomically(options.record, (json.dumps(record, indent=1) + "\n").encode())


def _report(options: argparse.Namespace) -> None:
    from wordseq.comparison.page.html import check_page_file

    check_page_file(options.html)
    _write_page(options, *_compared(options, options.run))


def _compared(options: argparse.Namespace, folders: Sequence[Path]) -> tuple[list["ScoredRun"], dict[str, Any]]:
    """The runs, scored where they were not, and what `compare` gives for them."""
    from wordseq.comparison.compare import compare
    from wordseq.comparison.scored_runs import scored_runs

    def score(folder: Path) -> None:
        import_tensorflow()
        from wordseq.evaluation.evaluate import evaluate_run
        from wordseq.runs.folder import Run

        print(f"scoring {folder}", file=sys.stderr, flush=True)
        evaluate_run(Run.open(folder), command=f"wordseq eval {shlex.quote(str(folder))}")

    runs = scored_runs(folders, score)
    return runs, compare(runs, command=options.command_line)


def _print_comparison(options: argparse.Namespace, result: dict[str, Any]) -> None:
    from wordseq.comparison.tables import comparison_markdown

    print(json.dumps(result, ensure_ascii=False, indent=1) if options.json else comparison_markdown(result), flush=True)


def _write_page(options: argparse.Namespace, runs: Sequence["ScoredRun"], result: dict[str, Any]) -> None:
    if not options.html:
        return
    from wordseq.comparison.page.html import render_page

    looks = {}
    if any(run.config.model.attention != "none" for run in runs):
        import_tensorflow()
        from wordseq.comparison.attention import attention_of, chosen_sentences
        from wordseq.decoding.translator import Translator

        for run in runs:
            if run.config.model.attention != "none" and run.folder not in looks:
                chosen = [(run.test.sources[i], run.hyps[i]) for i in chosen_sentences(run.test.sources)]
                looks[run.folder] = attention_of(Translator.load(run.folder), chosen)
    page = render_page(runs, result, looks)
    write_atomically(options.html, page.encode())
    print(f"wrote {options.html}", file=sys.stderr)


def _add_sweep(commands: Any) -> None:
    parser = _command(
        commands, "sweep", _sweep, "train every level, cell and seed, or any settings, then compare the runs"
    )
    parser.add_argument("config", type=Path, nargs="?", metavar="CONFIG.toml", help="settings; default: the phrasebook")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/compare"), metavar="DIR", help="for the runs; default: runs/compare"
    )
    parser.add_argument("--name", default="", help="of the data, in the runs' names; default: that of the settings")
    parser.add_argument(
        "--levels", type=_listed, default=[], metavar="LIST", help='values of data.level, e.g. "char word"'
    )
    parser.add_argument(
        "--cells", type=_listed, default=[], metavar="LIST", help='values of model.cell, e.g. "lstm gru"'
    )
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=LIST",
        help="values of any setting, e.g. model.attention=none,dot; repeatable",
    )
    parser.add_argument(
        "--seeds", type=_positive, default=1, metavar="N", help="runs with different train.seed of each; default: 1"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all runs; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    _add_comparison_record(parser)
    _add_html(parser)
    _add_mirror(parser)


def _listed(text: str) -> list[str]:
    """Values with commas or spaces between them."""
    values = text.replace(",", " ").split()
    if not values:
        raise argparse.ArgumentTypeError(
            f"{text!r} names nothing; leave the option out to keep the settings' own value"
        )
    return values


def _sweep(options: argparse.Namespace) -> int:
    from wordseq.comparison.sweep import Interrupted, sweep

    _check_files(options)
    runs = _planned(options)
    try:
        # The tables alone go to standard output.
        finished = sweep(runs, options.config, options.mirror, lambda line: print(line, file=sys.stderr, flush=True))
    except Interrupted:
        return _fail("interrupted; the training at hand was saved: the same command continues", 130)
    if not finished:
        raise UserError("no run of the sweep could be trained")
    folders = [run.folder for run in finished]
    scored, result = _compared(options, folders)
    whole = len(finished) == len(runs)
    if whole:
        _write_record(options, scored, result)
    _print_comparison(options, result)
    _write_page(options, scored, result)
    if not whole:
        unwritten = f"; {options.record} was not written" if options.record else ""
        return _fail(f"{len(runs) - len(finished)} of {len(runs)} runs failed; see above{unwritten}", 1)
    return 0


def _planned(options: argparse.Namespace) -> list["SweepRun"]:
    """The runs that a sweep was asked for."""
    from wordseq.comparison.sweep import data_name, plan_sweep
    from wordseq.data.sources import check_source

    if any(sign in options.name for sign in ("/", os.sep)):
        raise UserError(f"--name {options.name!r}: a name, not a path; --folder says where the runs go")
    if options.folder.exists() and not options.folder.is_dir():
        raise UserError(f"--folder {options.folder}: a file, expected a folder")
    data = load_config(options.config, options.set).data
    check_source(data)
    return plan_sweep(
        options.config,
        options.folder,
        options.name or data_name(data),
        levels=options.levels,
        cells=options.cells,
        seeds=options.seeds,
        settings=options.set,
        vary=options.vary,
    )
