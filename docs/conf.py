"""Builds the site: every page below docs/, and a reference that is made from the program itself."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

import bulkhaul

DOCS = Path(__file__).parent

project = "bulkhaul"
project_copyright = "the bulkhaul developers"
version = release = bulkhaul.__version__

extensions = ["myst_parser", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True

myst_heading_anchors = 4  # pages link to headings by the anchors that they have where Markdown is shown as it is
suppress_warnings = ["misc.highlighting_failure"]  # JSON is shown with an ellipsis where its rest says nothing

html_theme = "furo"
html_title = f"bulkhaul {release}"
html_show_sourcelink = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}

copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True

_LINK = re.compile(r"(?<!!)\[([^\]\n]*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")


def _within_the_site(page: Path, text: str) -> str:
    """Return a page whose links stay in the site.

    Pages link to tests, results and folders of the repository. A file is offered for download by itself; what the site
    cannot show, a folder or a page that is none of its own, is named without a link.
    """

    def replaced(link: re.Match[str]) -> str:
        target = (page.parent / link[2]).resolve()
        if target.is_dir() or (target.suffix == ".md" and not target.is_relative_to(DOCS)):
            return link[1]
        return link[0]

    return _LINK.sub(replaced, text)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md":
        source[0] = _within_the_site(page, source[0])


def setup(app: Sphinx) -> None:
    """Connect what makes the pages."""
    app.connect("source-read", _read)
