"""Pickles a study that was made in this process, for its workers.

cloudpickle pickles the builder by value, with all objects of the script or notebook that the
builder uses. So a worker never runs the script, which may launch several studies, read arguments,
or take an hour to make its data. Modules are not pickled: a worker imports them. Large arrays are
written to files, which all workers map to memory.
"""

from __future__ import annotations

import io
import linecache
import marshal
import pickle
import sys
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, ClassVar

import numpy as np

from search_spaces.errors import DataError, StudyError
from studies.data import TF_DATA, MappingUnpickler, batches_kind, file_of
from studies.definition import StudyDefinition
from studies.error_texts import describe
from studies.user_code.study_file_loading import import_from
from studies.user_code.user_modules import import_texts, remember_text, texts_by_file
from tracking.records import CodeDescription

# An array of this size and more goes into a file of its own.
_LARGE_BYTES = 2**16
_STUDY = "study"


@dataclass(frozen=True)
class ShippedStudy:
    """A folder with a pickled study.

    Attributes:
        modules: The texts of the study's own modules, by file. Workers import these texts, so the
            files may change, and need not exist.
    """

    folder: Path
    code: CodeDescription
    modules: Mapping[str, str]


def ship(
    study: StudyDefinition,
    code: CodeDescription,
    folder: Path,
    otherwise: str = "Or launch with executor='in-process'.",
) -> ShippedStudy:
    """Pickles a study into an empty folder, for worker processes.

    If the study can't be pickled, the error's message ends with `otherwise`.
    """
    try:
        pickled, files = _pickle(study, folder)
    except OSError:
        raise
    except Exception as error:
        reason = f". {error}."
        if not isinstance(error, DataError):
            reason = (
                f": {describe(error)}. Its builder, its callbacks and the functions of its data "
                "may use only objects that can be pickled. Make other objects in the functions."
            )
        wrong = f"The study {study.name!r} can't be sent to worker processes{reason}"
        raise StudyError(wrong, hint=otherwise) from None
    # A notebook's cell has a made-up file name, by which only this process finds its text.
    texts = {name: "".join(linecache.getlines(name)) for name in files}
    if code.path:
        texts[code.path] = code.source
    # An empty entry means the current folder.
    path = [str(Path(entry or ".").absolute()) for entry in sys.path]
    with (folder / _STUDY).open("wb") as stream:
        pickle.dump((path, texts), stream)
        stream.write(pickled)
    return ShippedStudy(folder, code, texts_by_file(code))


def unpack(shipped: ShippedStudy) -> StudyDefinition:
    """Unpickles a study that another process pickled.

    Raises StudyError if that fails, e.g. because a module is missing.
    """
    with (shipped.folder / _STUDY).open("rb") as stream:
        path, texts = pickle.load(stream)
        for entry in path:
            import_from(Path(entry))
        import_texts(shipped.modules)
        for name, text in texts.items():
            remember_text(name, text)
        try:
            study = MappingUnpickler(stream, shipped.folder, "c").load()
        except Exception as error:
            raise StudyError(
                f"The study can't be made in a worker process: {describe(error)}",
                hint="Workers must be able to import the study's modules.",
            ) from None
    assert isinstance(study, StudyDefinition)
    return study


def _pickle(study: StudyDefinition, folder: Path) -> tuple[bytes, set[str]]:
    """Returns the pickled study, and the files of its functions."""
    from cloudpickle import Pickler

    files: set[str] = set()

    def reduced_code(code: CodeType) -> tuple[Any, ...]:
        """Pickles code by `marshal`, because cloudpickle leaves out the name of the file.

        AutoGraph finds a function's text by this name. Only the same version of Python can read
        what `marshal` writes.
        """
        files.add(code.co_filename)
        return marshal.loads, (marshal.dumps(code),)

    # The files of large arrays, by the arrays' ids. An array that is kept here stays alive, so no
    # other array gets its id.
    arrays: dict[int, tuple[str, np.ndarray]] = {}

    class Writer(Pickler):  # type: ignore[misc]
        dispatch_table: ClassVar = ChainMap({CodeType: reduced_code}, Pickler.dispatch_table)

        def persistent_id(self, thing: object) -> str | None:
            """Returns the name of a large array's file. Returns None for objects to pickle."""
            if batches_kind(thing) == TF_DATA:
                raise DataError(
                    "A tf.data.Dataset can't be sent to another process",
                    hint="Make it in a function: datasets.batches(make_training, make_validation)",
                )
            if type(thing) not in (np.ndarray, np.memmap):
                return None
            assert isinstance(thing, np.ndarray)
            if thing.dtype.hasobject or thing.nbytes < _LARGE_BYTES:
                return None
            if id(thing) not in arrays:
                file = file_of(thing)
                name = f"sent-{len(arrays)}.npy" if file is None else str(file.absolute())
                if file is None:
                    np.save(folder / name, np.asarray(thing), allow_pickle=False)
                arrays[id(thing)] = name, thing
            return arrays[id(thing)][0]

    stream = io.BytesIO()
    Writer(stream).dump(study)
    return stream.getvalue(), files
