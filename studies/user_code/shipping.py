"""Sends a study that was made in this process to its workers.

The study of a script or a notebook is sent by value, with cloudpickle: its builder, and the
definitions of the script or notebook that it uses. So a worker never runs the script, which may
launch several studies, read its arguments, or take an hour to make its data. The worker imports
modules itself. Arrays go into files that all workers map to memory.
"""

from __future__ import annotations

import io
import linecache
import marshal
import pickle
import sys
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType
from typing import Any, ClassVar

import numpy as np

from search_spaces.errors import DataError, StudyError
from studies.data import TF_DATA, MappingUnpickler, batches_kind, file_of
from studies.definition import StudyDefinition
from studies.libraries.tensorflow_parts import untraced_functions
from studies.user_code.loading import import_from
from studies.user_code.user_modules import import_texts, place_of
from tracking.records import CodeDescription

# Larger arrays go into their own files.
_LARGE_BYTES = 2**16
_STUDY = "study"


@dataclass(frozen=True)
class ShippedStudy:
    """A study that is in a folder, with its arrays, while workers need it; and the study's code.

    Attributes:
        modules: Texts of the study's own modules by their files, which need not exist; empty if the
            files themselves are used.
    """

    folder: Path
    code: CodeDescription
    modules: Mapping[str, str] = field(default_factory=dict)

    def with_modules(self) -> ShippedStudy:
        """Returns the study with its modules' texts, to be loaded where the files do not exist."""
        code = self.code
        place = Path(code.path) if code.path else Path(code.folder) / "notebook.ipynb"
        texts = {str(place_of(place, each)): text for each, text in code.texts.items()}
        return replace(self, modules=texts)


def ship(
    study: StudyDefinition,
    code: CodeDescription,
    folder: Path,
    otherwise: str = "Or launch with executor='in-process'.",
) -> ShippedStudy:
    """Writes a study into an empty folder, for processes of this machine.

    If the study can't be sent, the message ends with `otherwise`, which says what else to do.
    """
    try:
        pickled, files = _pickle(study, folder)
    except OSError:
        raise
    except DataError as error:
        raise StudyError(
            f"The study {study.name!r} can't be sent to worker processes. {error}. {otherwise}"
        ) from None
    except Exception as error:
        raise StudyError(
            f"The study {study.name!r} can't be sent to worker processes: "
            f"{type(error).__name__}: {error}. Its builder, its callbacks and functions that give "
            f"its data may use only what can be pickled; make such objects within them. {otherwise}"
        ) from None
    with (folder / _STUDY).open("wb") as stream:
        pickle.dump((_import_path(), _sources(code, files)), stream)
        stream.write(pickled)
    return ShippedStudy(folder, code)


def unpack(shipped: ShippedStudy) -> StudyDefinition:
    """Reads the study that another process wrote into a folder.

    Raises StudyError if it can't be made here, mostly because a module is missing.
    """
    with (shipped.folder / _STUDY).open("rb") as stream:
        path, sources = pickle.load(stream)
        for entry in path:
            import_from(Path(entry))
        import_texts(shipped.modules)
        for name, lines in sources.items():
            # Python, and with it TensorFlow's AutoGraph, reads a function's text from this cache.
            linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
        try:
            study = MappingUnpickler(stream, shipped.folder, "c").load()
        except Exception as error:
            raise StudyError(
                "The study can't be made in a worker process: "
                f"{type(error).__name__}: {error}. Its modules must be importable there."
            ) from None
    assert isinstance(study, StudyDefinition)
    return study


def _import_path() -> list[str]:
    # An empty entry is the folder that this process is in.
    return [str(Path(entry or ".").absolute()) for entry in sys.path]


def _sources(code: CodeDescription, files: set[str]) -> dict[str, list[str]]:
    """Returns the texts of a study's file and of the notebook cells that are sent, by name."""
    cells = {
        name: entry[2]
        for name, entry in linecache.cache.items()
        # Other entries are files: they have a modification time, or have not been read yet.
        if name in files and len(entry) == 4 and entry[1] is None
    }
    return {**cells, **({code.path: code.source.splitlines(True)} if code.path else {})}


def _pickle(study: StudyDefinition, folder: Path) -> tuple[bytes, set[str]]:
    """Returns a study, pickled by value, and the names of the files of the functions in it."""
    # The import is late, as few studies are sent.
    from cloudpickle import Pickler

    files: set[str] = set()

    def reduced_code(code: CodeType) -> tuple[Any, ...]:
        """Returns how to make a function's code again, by the same Python."""
        files.add(code.co_filename)
        return marshal.loads, (marshal.dumps(code),)

    class Writer(Pickler):  # type: ignore[misc]
        """Pickles everything but large arrays."""

        # cloudpickle leaves out the names of files, by which TensorFlow's AutoGraph finds the text
        # of a function.
        dispatch_table: ClassVar = ChainMap(
            {CodeType: reduced_code, **untraced_functions()}, Pickler.dispatch_table
        )
        arrays: dict[int, tuple[str, np.ndarray]]

        def persistent_id(self, thing: object) -> str | None:
            """Returns the name of a large array's file, or None for a thing to pickle."""
            if batches_kind(thing) == TF_DATA:
                raise DataError(
                    "A tf.data.Dataset that was made outside of the functions that use it can't "
                    "be sent to another process. Make it within the function"
                )
            if type(thing) not in (np.ndarray, np.memmap):
                return None
            assert isinstance(thing, np.ndarray)
            if thing.dtype.hasobject or thing.nbytes < _LARGE_BYTES:
                return None
            if id(thing) not in self.arrays:
                name = _saved(thing, folder / f"sent-{len(self.arrays)}.npy")
                # The array is kept, so that no other array gets its id.
                self.arrays[id(thing)] = name, thing
            return self.arrays[id(thing)][0]

    stream = io.BytesIO()
    writer = Writer(stream)
    writer.arrays = {}
    writer.dump(study)
    return stream.getvalue(), files


def _saved(array: np.ndarray, file: Path) -> str:
    """Returns the file of an array, and writes one if there is none."""
    own = file_of(array)
    if own is not None:
        return str(own.absolute())
    np.save(file, np.asarray(array), allow_pickle=False)
    return file.name
