"""Fills pages whose text is elsewhere, and the list of decisions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
AT_THE_ROOT = {"contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
DECISIONS = "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Changes the text of a page before it is parsed."""
    if name in AT_THE_ROOT:
        app.env.note_dependency(str(ROOT / AT_THE_ROOT[name]))
        text = (ROOT / AT_THE_ROOT[name]).read_text(encoding="utf-8")
        text = text.replace("](docs/", "](").replace("](CHANGELOG.md)", "](changelog.md)")
        source[0] = re.sub(r"\[([^]]+)\]\(changes/?\)", r"\1", text)
    elif name == "decisions/README":
        source[0] += DECISIONS


def outdated(*_: Any) -> list[str]:
    """Returns the page that lists others, which may be new."""
    return ["decisions/README"]


def setup(app: Sphinx) -> dict[str, Any]:
    """Reads pages before MyST does."""
    app.connect("source-read", read)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True}
