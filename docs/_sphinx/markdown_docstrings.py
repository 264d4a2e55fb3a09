"""Translates Markdown in docstrings for autodoc, which reads reStructuredText."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx


def translated(
    app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]
) -> None:
    """Turns fences and tables into directives, in place; escapes words that end in `_`."""
    changed: list[str] = []
    inside = ""
    for line in lines:
        text = line.lstrip()
        indent = line[: len(line) - len(text)]
        if text.startswith("```"):
            if inside == "code":
                inside = ""
                changed.append("")
            else:
                inside = "code"
                changed += ["", f"{indent}.. code-block:: {text[3:] or 'text'}", ""]
        elif inside == "code":
            changed.append(f"   {line}" if text else line)
        elif text.startswith("| "):
            if inside != "table":
                inside = "table"
                changed += ["", f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
            cells = [cell.strip() for cell in text.strip(" |").split(" | ")]
            mark = "*"
            for cell in cells:
                changed.append(f"{indent}   {mark} - {cell}")
                mark = " "
        elif not (inside == "table" and text.startswith("|-")):
            if inside == "table":
                inside = ""
                changed.append("")
            changed.append(re.sub(r"(?<![`\w])(\w+)_(?![\w`])", r"\1\\_", line))
    lines[:] = changed


def setup(app: Sphinx) -> dict[str, Any]:
    """Runs before napoleon, which reads sections such as Args."""
    app.connect("autodoc-process-docstring", translated, priority=100)
    return {"parallel_read_safe": True}
