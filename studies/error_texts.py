"""Shortens the errors of Keras, TensorFlow and users to one line each."""

from __future__ import annotations

import re
import textwrap

# What errors of TensorFlow and Keras put before their text.
_NODE = re.compile(r"\{\{function_node [^}]*\}\}")
_CALLED = re.compile(r"^Exception encountered when calling .*?\x1b\[1m(.*?)\x1b\[0m", re.DOTALL)
_IN_USER_CODE = "in user code:"
_WHERE = re.compile(r'Graph execution error:|Detected at node|<stack traces|File "|\[\[|Traceback')


def describe(error: BaseException) -> str:
    """Returns the class of an error and the first informative line of its text."""
    text = _undecorated(str(error)).removeprefix(f"{type(error).__name__}: ")
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith("Graph execution error:"):
        # The indented lines are code.
        lines = [line for line in lines if not line[0].isspace()] or lines
    stripped = [_NODE.sub("", line).strip() for line in lines]
    informative = [line for line in stripped if line and not _WHERE.match(line)]
    first = next(iter([*informative, *stripped]), "")
    return f"{type(error).__name__}: {first[:500]}" if first else type(error).__name__


def first_paragraph(error: BaseException) -> str:
    """Returns the class of an error and its text up to the first empty line, in one line.

    The texts of some errors of Keras say what to do in several lines, before an example.
    """
    text = " ".join(str(error).strip().split("\n\n")[0].split()).rstrip(".")
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__


def _undecorated(text: str) -> str:
    """Removes the layer or the code that Keras or TensorFlow puts before an error's text."""
    called = _CALLED.search(text)
    if called is not None:
        text = called[1]
    if text.startswith(_IN_USER_CODE):
        lines = textwrap.dedent(text.removeprefix(_IN_USER_CODE)).strip().splitlines()
        # Each line `File "…"` is followed by the code there.
        places = [i for i, line in enumerate(lines) if line.startswith('File "')]
        text = "\n".join(lines[places[-1] + 2 :]).strip() if places else text
    return text
