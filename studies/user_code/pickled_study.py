"""Sends a study that was made in this process to its workers.

cloudpickle sends the study by value: its builder, and whatever the builder uses of the script or
notebook. So a worker never runs the script, which may launch several studies, read arguments, or
make its data for an hour. Workers import modules. Arrays go into files, which all workers map to
memory.
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
from studies.library_internals.tensorflow_internals import untraced_functions
from studies.user_code.study_file_loading import import_from
from studies.user_code.user_modules import import_texts, place_of
from tracking.records import CodeDescription

# A larger array goes into its own file.
_LARGE_BYTES = 2**16
_STUDY = "study"


@dataclass(frozen=True)
class ShippedStudy:
    """A study in a folder, for workers, and its code.

    Attributes:
        modules: Texts of the study's own modules by their files, which need not exist. If empty,
            the files are used.
    """

    folder: Path
    code: CodeDescription
    modules: Mapping[str, str] = field(default_factory=dict)

    def with_modules(self) -> ShippedStudy:
        """Returns the study with its modules' texts, so that it needs no files of modules."""
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

    If the study can't be sent, the error's message ends with `otherwise`.
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
    """Reads a study that another process wrote.

    Raises StudyError if it can't be loaded here, e.g. because a module is missing.
    """
    with (shipped.folder / _STUDY).open("rb") as stream:
        path, sources = pickle.load(stream)
        for entry in path:
            import_from(Path(entry))
        import_texts(shipped.modules)
        for name, lines in sources.items():
            # AutoGraph reads a function's text from this cache.
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
    # An empty entry means the current folder.
    return [str(Path(entry or ".").absolute()) for entry in sys.path]


def _sources(code: CodeDescription, files: set[str]) -> dict[str, list[str]]:
    """Returns the lines of a study's file and of the notebook cells that are sent, by name."""
    cells = {
        name: entry[2]
        for name, entry in linecache.cache.items()
        # Entries of files have a modification time, or have not been read yet.
        if name in files and len(entry) == 4 and entry[1] is None
    }
    return {**cells, **({code.path: code.source.splitlines(True)} if code.path else {})}


def _pickle(study: StudyDefinition, folder: Path) -> tuple[bytes, set[str]]:
    """Returns a study, pickled by value, and the files of the functions in it."""
    from cloudpickle import Pickler

    files: set[str] = set()

    def reduced_code(code: CodeType) -> tuple[Any, ...]:
        """Pickles code by `marshal`, which needs the same version of Python."""
        files.add(code.co_filename)
        return marshal.loads, (marshal.dumps(code),)

    class Writer(Pickler):  # type: ignore[misc]
        # cloudpickle leaves out file names, by which AutoGraph finds a function's text.
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
                # This keeps the array alive, so that no other array gets its id.
                self.arrays[id(thing)] = name, thing
            return self.arrays[id(thing)][0]

    stream = io.BytesIO()
    writer = Writer(stream)
    writer.arrays = {}
    writer.dump(study)
    return stream.getvalue(), files


def _saved(array: np.ndarray, file: Path) -> str:
    """Returns the file of an array. Writes one if there is none."""
    own = file_of(array)
    if own is not None:
        return str(own.absolute())
    np.save(file, np.asarray(array), allow_pickle=False)
    return file.name
