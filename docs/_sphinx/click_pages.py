"""The directive `click-commands`: every command of the command line, with its options.

The page is made from click's own objects, so that it can't differ from `--help`. Blocks that are
marked by a backspace, as click wants examples, become code to copy.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class ClickCommands(SphinxDirective):
    """A section for each command of `kerastudy`, in the order of its help."""

    def run(self) -> list[nodes.Node]:
        """Returns the sections."""
        from studies.commands.command_line import kerastudy

        context = click.Context(kerastudy, info_name="kerastudy")
        sections = []
        for name in kerastudy.list_commands(context):
            command = kerastudy.get_command(context, name)
            text = "\n".join(page(context, name, command))
            sections += self.parse_text_to_nodes(text, allow_section_headings=True)
        return sections


def page(parent: click.Context, name: str, command: click.Command) -> Iterator[str]:
    """Yields a command's section as Markdown."""
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from (f"## {name}", "", "```text", usage, "```", "")
    for block in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        yield from _block(block)
    if command.epilog:
        yield from (escaped(command.epilog), "")
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield from (f"`{record[0]}`", f": {escaped(record[1])}", "")


def _block(block: str) -> Iterator[str]:
    if not block.lstrip().startswith("\b"):
        yield from (escaped(" ".join(block.split())), "")
        return
    lines = inspect.cleandoc(block.replace("\b", "")).splitlines()
    language = "bash" if all(line.startswith("kerastudy") for line in lines) else "text"
    yield from (f"```{language}", *lines, "```", "")


def escaped(text: str) -> str:
    """Returns text in which nothing is mark-up."""
    return re.sub(r"([*_<>\[\]$`|~#\\])", r"\\\1", " ".join(text.split()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds the directive, and the languages of code that Pygments does not know."""
    from pygments.lexers.special import TextLexer

    app.add_directive("click-commands", ClickCommands)
    app.add_lexer("mermaid", TextLexer)
    return {"parallel_read_safe": True}
