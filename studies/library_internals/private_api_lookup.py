"""Private names of libraries, each declared once and looked up when it is first needed.

A library may drop its private names in any version, so pyproject.toml allows only versions that
have them. The modules `…_internals` beside this one declare the private names that kerastudy uses.
Looking up a missing name raises MissingPartError.
"""

from __future__ import annotations

import importlib
from typing import Any

from search_spaces.errors import StudyError


class MissingPartError(StudyError):
    """The installed version of a library lacks a private part that kerastudy uses."""


class PrivatePart:
    """A private name of a library."""

    def __init__(self, library: str, owner: str, name: str) -> None:
        self.library, self.owner, self.name = library, owner, name

    def __str__(self) -> str:
        """Returns the name with its module or class before it."""
        return f"{self.owner}.{self.name}"

    def missing(self) -> MissingPartError:
        """Returns the error that says that the name is missing."""
        # The command line imports this module, and must start quickly.
        from importlib.metadata import PackageNotFoundError, version

        try:
            installed = version(self.library)
        except PackageNotFoundError:
            installed = "as installed"
        return MissingPartError(
            f"{self.library} {installed} lacks {self}",
            hint="Install a version that kerastudy supports: pip install kerastudy.",
        )


class ModulePart(PrivatePart):
    """A private name in a module, or any name in a private module."""

    def get(self) -> Any:
        """Returns the object with this name. Raises MissingPartError if there is none."""
        try:
            return getattr(importlib.import_module(self.owner), self.name)
        except (ImportError, AttributeError):
            raise self.missing() from None

    def set(self, value: Any) -> None:
        """Replaces the object with this name. Raises MissingPartError if there is none."""
        self.get()
        setattr(importlib.import_module(self.owner), self.name, value)


class AttributePart(PrivatePart):
    """A private attribute of a library's objects."""

    def of(self, thing: Any) -> Any:
        """Returns the attribute of an object, or of a class."""
        try:
            return getattr(thing, self.name)
        except AttributeError:
            raise self.missing() from None

    def set(self, thing: Any, value: Any) -> None:
        """Sets the attribute of an object. Raises MissingPartError if the object has none."""
        self.of(thing)
        setattr(thing, self.name, value)
