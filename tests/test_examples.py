"""The examples in the docstrings of the public face run, and print what they say."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import kerastudy as ks

FINDER = doctest.DocTestFinder(recurse=True, exclude_empty=True)


def public() -> Iterator[tuple[str, Any]]:
    """Yields what `kerastudy` exports, and what its modules export, by name."""
    for name in ks.__all__:
        found = getattr(ks, name)
        if isinstance(found, ModuleType):
            for each, value in inspect.getmembers(found, inspect.isroutine):
                yield f"{name}.{each}", value
        else:
            yield name, found


def examples() -> list[doctest.DocTest]:
    found = {}
    for name, value in public():
        if inspect.isclass(value):
            parts = [part for part in value.__mro__ if part is not object]
        else:
            parts = [value] if inspect.isroutine(value) else []
        for part in parts:
            module = inspect.getmodule(part)
            for test in FINDER.find(part, name, module=module, globs={"ks": ks}):
                found[test.docstring] = test
    return [test for test in found.values() if test.examples]


EXAMPLES = examples()


def test_there_are_about_forty() -> None:
    assert len(EXAMPLES) >= 35


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_an_example(
    example: doctest.DocTest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    failed, _ = doctest.DocTestRunner().run(example, out=said.append, clear_globs=False)
    assert not failed, "".join(said)
