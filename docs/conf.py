"""Builds the site: every page below docs/, and a reference that is made from the program itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import bulkhaul

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from generated import filled  # noqa: E402 - it stands beside this file

project = "bulkhaul"
project_copyright = "the bulkhaul developers"
version = release = bulkhaul.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!bulkhaul\.[A-Z]).*"),  # types of others, of which nothing is read, and types that are not public
]

myst_heading_anchors = 4  # pages link to headings by the anchors that they have where Markdown is shown as it is
suppress_warnings = ["misc.highlighting_failure"]  # JSON is shown with an ellipsis where its rest says nothing

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

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
        source[0] = filled(_within_the_site(page, source[0]))


def _public(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Lead a reference to a class by the module that defines it to the public name."""
    name = str(node.get("reftarget", "")).rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in bulkhaul.__all__:
        return None
    return env.domains.python_domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", f"bulkhaul.{name}", node, content
    )


def setup(app: Sphinx) -> None:
    """Connect what makes the pages."""
    app.connect("source-read", _read)
    app.connect("missing-reference", _public)
