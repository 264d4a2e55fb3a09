"""First floor: the record of what was tried, and what was best.

| module | holds |
|---|---|
| `history/` | reading studies back, and what follows from them |
| `runs/` | writing a study into MLflow |
| `store/` | the folder that holds everything, and its files |
| `records/` | the shapes that travel: specs, results, descriptions |
| `mlflow_parts` | private parts of MLflow |
| `tags` | the tags on MLflow's runs |
| `texts` | numbers, amounts and durations as people read them |
| `doctor/` | checking and mending a store |
| `scores/` | the objective of each validation sample |
| `statistics/` | how far to believe a best value: corrections and intervals |
| `diagnosis/` | what the record says about the search, and what to search next |
| `registry/` | the champion as a registered model |
| `report/` | the report of a study, as one HTML file |
| `mirror/` | a copy of the record on an MLflow server |
| `ui/` | the MLflow UI, and the views prepared in it |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
