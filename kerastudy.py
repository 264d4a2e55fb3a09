"""kerastudy: hyperparameter tuning studies of Keras models.

Study files, scripts and notebooks import this module:

    import kerastudy as ks
    study = ks.Study("digits", data=ks.datasets.digits(), build=build,
                     space=ks.SearchSpace(ks.learning_rate(), ks.dropout()))
    study.launch()
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"


def _import_own_packages() -> None:
    """Imports `search_spaces`, `tracking` and `studies` from the folder of this file.

    A user may have a package of the same name, such as a folder `studies`. The module
    `studies.user_code.package_name_clashes` makes the modules of both packages importable.
    """
    here = Path(__file__).resolve().parent
    imported: dict[str, ModuleType] = {}
    for name in ("search_spaces", "tracking", "studies"):
        module = sys.modules.get(name)
        if module is not None and str(here / name) in getattr(module, "__path__", ()):
            continue
        if module is not None:
            # This is a user's package of the same name. Its submodules are removed from
            # `sys.modules`, too, because kerastudy's submodules may have the same names.
            for submodule in [n for n in sys.modules if n.partition(".")[0] == name]:
                imported[submodule] = sys.modules.pop(submodule)
        _import_from(here / name)
    from studies.library_internals import hide_output_of_import
    from studies.user_code import keep_imported, share_package_names

    share_package_names()
    keep_imported(imported)
    hide_output_of_import()


def _import_from(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        folder.name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"kerastudy is incomplete: {folder} is missing. Install it again.")
    sys.modules[folder.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


_import_own_packages()

if TYPE_CHECKING:
    from studies.public_names import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Imports all public names when the first of them is used, so that commands start fast."""
    # Python also looks up names such as `__path__` here. They are not public, so they import
    # nothing.
    if not name.startswith("__") or name == "__all__":
        from studies import public_names

        globals().update({public: getattr(public_names, public) for public in public_names.NAMES})
        globals()["__all__"] = ["__version__", *public_names.NAMES]
    if name in globals():
        return globals()[name]
    text = f"module 'kerastudy' has no attribute {name!r}"
    # From `name` and `obj`, Python finds the most similar name in `__dir__`, and suggests it.
    raise AttributeError(text, name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    from studies import public_names

    return ["__version__", *public_names.NAMES]


def _command_line() -> None:
    # By default Python looks for garbage so often that imports take a fifth longer.
    gc.set_threshold(50_000)
    from studies.commands import main

    try:
        main()
    finally:
        # Without this, Python would look for garbage before it exits, for up to a second.
        gc.freeze()


if __name__ == "__main__":
    _command_line()
