"""kerastudy: hyperparameter tuning studies of Keras models.

The public face: what study files, scripts and notebooks import.

    import kerastudy as ks
    study = ks.Study("digits", data=ks.datasets.digits(), build=build,
                     space=ks.SearchSpace(ks.learning_rate(), ks.dropout()))
    study.launch()
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__version__ = "0.1.0"


def _import_own_packages() -> None:
    """Imports the three packages next to this file, whatever else is on the path.

    Their names are common. A user's repository may have its own ``studies`` folder: it must not be
    taken for ours, and its modules must still be found; see `studies.user_code.same_names`.
    """
    here = Path(__file__).resolve().parent
    imported: dict[str, ModuleType] = {}
    for name in ("search_spaces", "tracking", "studies"):
        module = sys.modules.get(name)
        if module is not None and str(here / name) in getattr(module, "__path__", ()):
            continue
        if module is not None:
            # With its modules, some of which may have the names of ours.
            for each in [n for n in sys.modules if n.partition(".")[0] == name]:
                imported[each] = sys.modules.pop(each)
        _import_from(here / name)
    from studies.user_code.same_names import give_way, put_behind

    give_way()
    put_behind(imported)


def _import_from(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        folder.name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"kerastudy is incomplete: {folder} is missing. Install it again.")
    sys.modules[folder.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


_import_own_packages()

from search_spaces import (  # noqa: E402 - after the packages are found
    Boolean,
    Choice,
    Fixed,
    Float,
    Hyperparameters,
    Int,
    SearchSpace,
    Tailoring,
    activation,
    batch_normalization,
    batch_size,
    batchnorm,
    bias_initializer,
    discover,
    dropout,
    epochs,
    initializer,
    kernel_initializer,
    l1,
    l1_l2,
    l2,
    label_smoothing,
    layers,
    learning_rate,
    momentum,
    optimizer,
    units,
)
from search_spaces.errors import (  # noqa: E402
    BuilderError,
    ComparisonError,
    DataError,
    EngineError,
    HyperparameterError,
    KerastudyError,
    NoTestPartError,
    ObjectiveError,
    SearchSpaceError,
    StoreError,
    StudyChangedError,
    StudyError,
    StudyFileError,
    StudyNotFoundError,
    TrackingError,
    WorkerError,
)
from studies import Study, datasets, splits  # noqa: E402
from studies.champion.evaluation import evaluate  # noqa: E402
from studies.champion.prediction import predict  # noqa: E402
from studies.champion.promotion import promote  # noqa: E402
from studies.confirming.confirm import confirm  # noqa: E402
from studies.data import preprocessing  # noqa: E402
from studies.definition import outputs  # noqa: E402
from studies.definition.seeds import epoch_seed, permutation, seed_states  # noqa: E402
from studies.executors.ray import RayOptions  # noqa: E402
from studies.exporting.optuna_export import export_optuna  # noqa: E402
from studies.exporting.script import export_script  # noqa: E402
from studies.launching.checking_data import check_data  # noqa: E402
from studies.results.models import load_model  # noqa: E402
from studies.results.study_results import (  # noqa: E402
    StudyResults,
    Trial,
    delete_study,
    diagnose,
    list_studies,
    read_study,
    rename_study,
)
from tracking import Objective  # noqa: E402

__all__ = [
    "Boolean",
    "BuilderError",
    "Choice",
    "ComparisonError",
    "DataError",
    "EngineError",
    "Fixed",
    "Float",
    "HyperparameterError",
    "Hyperparameters",
    "Int",
    "KerastudyError",
    "NoTestPartError",
    "Objective",
    "ObjectiveError",
    "RayOptions",
    "SearchSpace",
    "SearchSpaceError",
    "StoreError",
    "Study",
    "StudyChangedError",
    "StudyError",
    "StudyFileError",
    "StudyNotFoundError",
    "StudyResults",
    "Tailoring",
    "TrackingError",
    "Trial",
    "WorkerError",
    "__version__",
    "activation",
    "batch_normalization",
    "batch_size",
    "batchnorm",
    "bias_initializer",
    "check_data",
    "confirm",
    "datasets",
    "delete_study",
    "diagnose",
    "discover",
    "dropout",
    "epoch_seed",
    "epochs",
    "evaluate",
    "export_optuna",
    "export_script",
    "initializer",
    "kernel_initializer",
    "l1",
    "l1_l2",
    "l2",
    "label_smoothing",
    "layers",
    "learning_rate",
    "list_studies",
    "load_model",
    "momentum",
    "optimizer",
    "outputs",
    "permutation",
    "predict",
    "preprocessing",
    "promote",
    "read_study",
    "rename_study",
    "seed_states",
    "splits",
    "units",
]


def __dir__() -> list[str]:
    return __all__


def _command_line() -> None:
    from studies.commands.command_line import main

    main()


if __name__ == "__main__":
    _command_line()
