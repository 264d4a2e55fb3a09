"""Starts the exporter's process: ``python -P exporter_main.py FOLDER``."""

import importlib.util
import sys
from pathlib import Path


def _import_kerastudy() -> None:
    """Imports the kerastudy of this file, even if there is another one on the path."""
    path = Path(__file__).resolve().parents[2] / "kerastudy.py"
    spec = importlib.util.spec_from_file_location("kerastudy", path)
    assert spec is not None and spec.loader is not None
    sys.modules["kerastudy"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


if __name__ == "__main__":
    _import_kerastudy()
    from tracking.mlflow.process import main

    main(sys.argv[1:])
