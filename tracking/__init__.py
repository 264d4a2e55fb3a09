"""First floor: the record of what was tried, and what was best.

| room | holds |
|---|---|
| `journal/` | a study's journal: the record |
| `records/` | the shapes that travel: specs, results, descriptions |
| `store/` | the folder that holds everything, and its files |
| `history/` | reading studies back, and what follows from them |
| `scores/` | the objective of each validation sample |
| `statistics/` | how far to believe a best value: corrections and intervals |
| `diagnosis/` | what the record says about the search, and what to search next |
| `report/` | the report of a study, as one HTML file |
| `mlflow/` | what MLflow shows: the exporter, the registered model, the UI |
| `doctor/` | checking and mending a store |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
