"""No test is skipped in silence: with CI in the environment, a skip whose reason is not in this list fails the run.

`tests/conftest.py` takes the hooks from here.
"""

import os

import pytest

LISTED = {
    "could not import 'torch'": "PyTorch, 200 MB to 2 GB, for one test of a peer that is only measured",
    "could not import 'entmax'": "needs PyTorch; what it computes is compared with NumPy references too",
    "needs the real corpora": "they are not ours to ship; `.ci/run` names the mirror where there is one",
    "no file system can be mounted here": "a container may not mount; `OSError` from fsync is tested in its place",
    "root may write everywhere": "CI runs as root; who works on the code does not",
}
"""How a reason begins, and why it may be skipped."""
UNLISTED = pytest.StashKey[list[str]]()


def unlisted(reports: list[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """A line for each skipped test or file whose reason is not listed."""
    found = []
    for report in reports:
        # Of a skip, pytest gives file, line and reason.
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not reason.startswith(tuple(LISTED)):
            found.append(f"{report.nodeid}: {reason}")
    return found


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let the run fail. Workers of xdist have no terminal: they report to the process that has."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or not os.environ.get("CI"):
        return
    session.config.stash[UNLISTED] = unlisted(terminal.stats.get("skipped", []))
    if session.config.stash[UNLISTED] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Name what failed the run."""
    lines = config.stash.get(UNLISTED, [])
    if lines:
        terminalreporter.section("skipped, but not listed in tests/skips.py", red=True)
        for line in lines:
            terminalreporter.line(line)
