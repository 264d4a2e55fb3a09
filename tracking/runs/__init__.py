"""Writing a study into MLflow.

| module | holds |
|---|---|
| `study_runs` | the parent run of a study |
| `trial_runs` | a child run for each attempt at a trial |
| `confirmation_runs` | the runs of a confirmation, and of its trainings |
| `run_contents` | the content of a run: params, metrics, data set, under names that MLflow takes |
| `run_writer` | writing runs: straight into MLflow's tables, or by its client |
| `parents` | the parent runs of studies, present or lost in MLflow; searches that read all pages |
| `experiments` | MLflow's experiment of a study: made, and deleted with all of the study |
| `study_files` | the folder of a study's checkpoints and states |
| `champion_versions` | which version of a registered model is the champion |
| `pages` | what people see of runs and models in the MLflow UI |
| `commands` | the commands that people copy |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
