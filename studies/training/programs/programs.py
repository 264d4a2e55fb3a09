"""The programs used last, and the models that can't have any."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from studies.training.programs.program import NotCompilableError, Program
from studies.training.structures.structure import Structure

if TYPE_CHECKING:
    import keras

    from studies.training.programs.epochs import Signature

_REFUSALS_KEPT = 1000


class Programs:
    """The programs used last, by structure."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._programs: OrderedDict[tuple[tuple[str, Signature], int], Program] = OrderedDict()
        self._refused: OrderedDict[object, str] = OrderedDict()
        self._made = 0

    def __len__(self) -> int:
        """Returns how many are kept."""
        return len(self._programs)

    def __iter__(self) -> Iterator[Program]:
        """Yields the kept ones, least recently used first."""
        return iter(self._programs.values())

    @property
    def made(self) -> int:
        """How many were traced so far."""
        return self._made

    def program(self, model: keras.Model, structure: Structure, signature: Signature) -> Program:
        """Returns a program that serves a model, traced now if there is none.

        Raises NotCompilableError if none can.
        """
        if structure.state:
            raise NotCompilableError(f"the model holds {structure.state}")
        key = (structure.key, signature)
        reason = self._refused.get(structure.key) or self._refused.get(key)
        if reason:
            raise NotCompilableError(reason)
        for place, program in reversed(self._programs.items()):
            if place[0] == key and program.serves(structure):
                self._programs.move_to_end(place)
                return program
        while len(self._programs) >= self._kept:
            self._programs.popitem(last=False)
        try:
            program = Program(model, structure, signature)
        except NotCompilableError as error:
            self.refuse(key, str(error))
            raise
        self._made += 1
        # No other trial can use the program of a unique structure.
        if not structure.reason:
            self._programs[key, self._made] = program
        return program

    def refuse(self, key: object, reason: str) -> None:
        """Lends no more programs to models of a structure, alone or with the signature of data."""
        self._refused[key] = reason
        while len(self._refused) > _REFUSALS_KEPT:
            self._refused.popitem(last=False)
        for place in [place for place in self._programs if key in (place[0], place[0][0])]:
            del self._programs[place]

    def refuse_broken(self, reason: str) -> None:
        """Lends no more programs to models whose program raised when it was run."""
        for (key, _), program in list(self._programs.items()):
            if program.broken:
                self.refuse(key, reason)

    def clear(self) -> None:
        """Drops all programs."""
        self._programs.clear()
