"""Writing a study into MLflow.

| module | holds |
|---|---|
| `champion_versions` | which version of a registered model is the champion |
| `confirmation_runs` | the runs of a confirmation, and of its trainings |
| `data_findings` | what was found in a study's data, in the record |
| `deleting` | deletes a study for ever |
| `experiments` | MLflow's experiment of a study |
| `mlflow_names` | names of metrics and hyperparameters as MLflow takes them |
| `pages/` | what people see of runs and models in the MLflow UI |
| `parents` | the parent runs of studies, present or lost in MLflow |
| `run_contents` | the content of a run: its params, its data set, the place of its artifacts |
| `run_rows` | the rows of a run's metrics, params and tags in MLflow's tables |
| `run_tables` | writing straight into MLflow's tables |
| `run_writer` | the protocol for writing runs, and MLflow's client behind it |
| `searching` | searches in MLflow that read all pages |
| `study_files` | the folder of a study's checkpoints and states |
| `study_runs` | the parent run of a study |
| `trial_runs` | a child run for each attempt at a trial |
| `waiting_metrics` | metrics of a training that are not written yet |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
