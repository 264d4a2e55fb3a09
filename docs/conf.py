"""How Sphinx builds the pages in this folder; run by scripts/docs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_sphinx"))

import kerastudy

project = "kerastudy"
author = "the authors of kerastudy"
copyright = "the authors of kerastudy. Apache License 2.0"
release = version = kerastudy.__version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    # Ours, in docs/_sphinx.
    "click_pages",
    "markdown_docstrings",
    "pages_elsewhere",
]
exclude_patterns = ["_sphinx", "README.md"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = False

autodoc_typehints = "description"
python_use_unqualified_type_names = True
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_use_ivar = True
# Single backticks in docstrings mean code.
default_role = "code"

html_theme = "furo"
html_title = f"kerastudy {version}"
html_show_sourcelink = False
html_copy_source = False
