"""What MLflow shows of studies, brought up to date from their journals by its client alone.

| module | holds |
|---|---|
| `process`, `exporter_main` | the exporter's process, beside a launch and without one |
| `exporter` | brings a destination up to date with a study |
| `destinations` | the study's experiment there: found, made, renamed, restored |
| `sending` | sends the trials and confirmations that have changed |
| `exports` | the notes on what has been sent where |
| `runs` | runs at a destination: found and made by uuid, written, left alone |
| `registry` | the champion as a registered model |
| `contents` | params, metrics and tags of runs |
| `names` | names and values in MLflow's spelling |
| `tags` | the names of tags |
| `notes`, `pages` | the texts that people read there, and addresses of pages |
| `views` | views prepared in the UI |
| `server` | clients, and what may go wrong with a destination |
| `ui`, `token_app` | the MLflow UI on a store |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
