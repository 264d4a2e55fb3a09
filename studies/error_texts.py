"""Shortens the errors of Keras, TensorFlow and users to one line each."""

from __future__ import annotations

import re
import textwrap

# Keras and TensorFlow add these to the text of an error: the graph's node, the layer that was
# called, a traceback of the user's code, and lines that say where the error occurred.
_NODE = re.compile(r"\{\{function_node [^}]*\}\}")
_CALLED = re.compile(r"^Exception encountered when calling .*?\x1b\[1m(.*?)\x1b\[0m", re.DOTALL)
_IN_USER_CODE = "in user code:"
_WHERE = re.compile(r'Graph execution error:|Detected at node|<stack traces|File "|\[\[|Traceback')


def describe(error: BaseException) -> str:
    """Returns the class of an error and the first informative line of its text."""
    text = _undecorated(str(error)).removeprefix(f"{type(error).__name__}: ")
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith("Graph execution error:"):
        # In such an error, indented lines quote source code, which does not say what is wrong.
        lines = [line for line in lines if not line[0].isspace()] or lines
    stripped = [_NODE.sub("", line).strip() for line in lines]
    informative = [line for line in stripped if line and not _WHERE.match(line)]
    first = next(iter([*informative, *stripped]), "")
    return f"{type(error).__name__}: {first[:500]}" if first else type(error).__name__


def first_paragraph(error: BaseException) -> str:
    """Returns the class of an error and the first paragraph of its text, joined into one line.

    Some errors of Keras say in several lines what to do, and then show an example.
    """
    text = " ".join(str(error).strip().split("\n\n")[0].split()).rstrip(".")
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__


def _undecorated(text: str) -> str:
    """Removes the layer or the traceback that Keras or TensorFlow puts before an error's text."""
    called = _CALLED.search(text)
    if called is not None:
        text = called[1]
    if text.startswith(_IN_USER_CODE):
        lines = textwrap.dedent(text.removeprefix(_IN_USER_CODE)).strip().splitlines()
        # Each call of the traceback is two lines: `File "…"`, and the line of code there. The text
        # of the error follows the last call.
        places = [i for i, line in enumerate(lines) if line.startswith('File "')]
        text = "\n".join(lines[places[-1] + 2 :]).strip() if places else text
    return text
