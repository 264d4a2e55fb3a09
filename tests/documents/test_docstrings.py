"""The examples in the docstrings of the public face run, and print what they say."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from suite import one_thread

import kerastudy as ks


def examples() -> Iterator[doctest.DocTest]:
    """Yields the examples of what `kerastudy` exports, and of what its modules export."""
    finder = doctest.DocTestFinder(recurse=True, exclude_empty=True)
    for name in ks.__all__:
        found = getattr(ks, name)
        parts = [found]
        if inspect.ismodule(found):
            parts = [value for _, value in inspect.getmembers(found, inspect.isroutine)]
        elif inspect.isclass(found):
            parts = [part for part in found.__mro__ if part is not object]
        for part in filter(lambda part: inspect.isclass(part) or inspect.isroutine(part), parts):
            module = inspect.getmodule(part)
            yield from finder.find(part, part.__qualname__, module=module, globs={"ks": ks})


EXAMPLES = [
    test for test in {test.docstring: test for test in examples()}.values() if test.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_an_example(
    example: doctest.DocTest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some examples use TensorFlow, and a process keeps the threads that it had first.
    one_thread()
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    failed, _ = doctest.DocTestRunner().run(example, out=said.append, clear_globs=False)
    assert len(EXAMPLES) >= 35 and not failed, "".join(said)
