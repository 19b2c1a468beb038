"""`wordseq serve`: translate over HTTP."""

import argparse
import importlib.util
import os
from typing import Any

from wordseq.cli.options import add_command, add_runs, not_empty, note, number_between, positive
from wordseq.system.errors import UserError
from wordseq.system.tensorflow import import_tensorflow

KEY_VARIABLE = "WORDSEQ_API_KEY"

_PACKAGES = {
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
    "py3langid": "py3langid",
}
"""What the extra `serve` installs: names of modules and of packages."""


def add(commands: Any) -> None:
    """Add `serve` to the commands."""
    parser = add_command(
        commands,
        "serve",
        _serve,
        "translate over HTTP, with LibreTranslate's API and a page for people; needs the extra 'serve'",
        ("wordseq serve runs/phrasebook --as en:fr", "wordseq serve runs/en-de runs/de-en --host 0.0.0.0 --port 8000"),
    )
    add_runs(parser, "folders of trained runs or ensembles, one for each direction")
    parser.add_argument(
        "--as",
        dest="languages",
        action="append",
        default=[],
        metavar="SOURCE:TARGET",
        help="language codes of a run, e.g. en:fr; give it for each run, in their order (default: data.src_lang and "
        "data.tgt_lang of each run, those of a known corpus, else src:tgt)",
    )
    parser.add_argument(
        "--host",
        type=not_empty,
        default="127.0.0.1",
        metavar="HOST",
        help="address to listen on; 0.0.0.0: all of them (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port",
        type=number_between(int, 0, 65535),
        default=5000,
        metavar="N",
        help="port; 0: a free one (default: 5000)",
    )
    parser.add_argument(
        "--api-key",
        type=not_empty,
        default=os.environ.get(KEY_VARIABLE) or None,
        metavar="KEY",
        help=f"key that requests must have as api_key (default: that in {KEY_VARIABLE}, if set, else none)",
    )
    parser.add_argument(
        "--max-chars",
        type=positive,
        default=10_000,
        metavar="N",
        help="largest number of characters in the texts of a request (default: 10000)",
    )
    parser.add_argument(
        "--max-waiting",
        type=positive,
        default=100,
        metavar="N",
        help="largest number of requests that wait for the model; others get status 429 (default: 100)",
    )
    parser.add_argument(
        "--timeout",
        type=number_between(float, 0.1, 3600),
        default=30.0,
        metavar="SECONDS",
        help="longest time for a request, its transfer included (default: 30)",
    )


def _serve(options: argparse.Namespace) -> None:
    _check_installed()
    from wordseq.runs.combine import open_run
    from wordseq.serving.directions import languages_of

    # Before TensorFlow: a wrong folder or language is reported at once.
    runs = [open_run(folder) for folder in options.run]
    languages = languages_of(runs, options.languages)
    from wordseq.serving.app import make_app
    from wordseq.serving.queue import BatchQueue
    from wordseq.serving.requests import RequestLimits
    from wordseq.serving.server import address_of, listen, run_server

    with listen(options.host, options.port) as listening:
        import_tensorflow()
        from wordseq.serving.directions import open_directions, warm_up
        from wordseq.serving.translation import Service

        directions = open_directions(runs, languages)
        for direction in directions:
            warm_up(direction)
        queue = BatchQueue(options.max_waiting)
        service = Service(directions, queue)
        if service.detector.unknown:
            note(f"wordseq: note: these languages are never detected: {', '.join(service.detector.unknown)}")

        def started() -> None:
            for run, codes in zip(runs, languages, strict=True):
                note(f"wordseq: {run.folder}: {codes.source} to {codes.target}")
            note(f"wordseq: listening on {address_of(listening)}; Ctrl-C ends the server")

        limits = RequestLimits(options.max_chars, options.api_key or "")
        run_server(make_app(service, limits, options.timeout), listening, started)
        queue.close()
        note("wordseq: ended")


def _check_installed() -> None:
    """Check that the packages of the extra are there.

    Raises:
        UserError: some are missing; the message has the command to type.
    """
    missing = [package for module, package in _PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(f"wordseq serve needs {', '.join(missing)}: python -m pip install 'wordseq[serve]'")
