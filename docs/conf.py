"""Settings of Sphinx for this site: `make docs` builds it into build/docs."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docs.generated import EXECUTED, PAGES, executed
from wordseq.system.platform import installed_version
from wordseq.system.tensorflow import import_tensorflow

project = "wordseq"
author = "wordseq maintainers"
version = release = installed_version("wordseq") or "0.1.0"
html_title = "wordseq"
language = "en"
# Of two hyphens in text a dash; quotes stay as they are.
smartquotes_action = "D"
# Backquotes in docstrings are code, as in Markdown.
default_role = "code"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
# `page.md#a-heading` works here as it does on GitHub.
myst_heading_anchors = 4
# `make notebooks` executes the notebooks; `_insert` takes the outputs from there.
nb_execution_mode = "off"
# As Jupyter shows outputs: the lines of a cell as one block, tables in Markdown as tables.
nb_merge_streams = True
nb_render_markdown_format = "myst"
# What notebooks write that are executed where they are.
exclude_patterns = ["notebooks/runs", "notebooks/data", "**/.ipynb_checkpoints"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
nitpicky = True
# Signatures name objects of other projects and of our own inner modules: neither has a page here.
nitpick_ignore_regex = [("py:.*", ".*")]

html_show_copyright = False
html_theme = "furo"
html_static_path, html_css_files = ["static"], ["site.css"]
html_theme_options = {"source_edit_link": "", "navigation_with_keys": True}
html_show_sourcelink = False
html_copy_source = False
# A block without a language is typed into a shell, or printed.
highlight_language = "text"
pygments_style, pygments_dark_style = "friendly", "native"

# Quiet, and before autodoc imports a module that needs it.
import_tensorflow()


def _insert(app: Any, name: str, source: list[str]) -> None:
    """Put the text from the code into a page that has a mark for it, and outputs into notebooks."""
    if name in PAGES:
        mark, make = PAGES[name]
        if mark not in source[0]:
            raise ValueError(f"docs/{name}.md has no {mark}")
        source[0] = source[0].replace(mark, make())
    elif app.env.doc2path(name).suffix == ".ipynb":
        source[0] = executed(source[0], EXECUTED / f"{Path(name).name}.ipynb")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _insert)
