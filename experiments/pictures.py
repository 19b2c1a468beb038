"""Screenshots of the sections of a page of `wordseq report --html FILE`, as PNG files.

    python experiments/pictures.py report.html docs/pictures

A screenshot can show sentences of the corpus. Use only pages of corpora that may be published.
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

SECTIONS = ("curves", "scores", "kinds", "samples", "attention")
WIDTH = 900


def main() -> None:
    """Open the page and take a screenshot of each section."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path, help="folder for the PNG files")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 800}, color_scheme="light")
        page.goto(options.page.resolve().as_uri())
        for name in options.sections:
            target = options.folder / f"{name}.png"
            page.locator(f'section[aria-labelledby="{name}"]').screenshot(path=target)
            print(f"{target}  {target.stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
