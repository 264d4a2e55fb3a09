"""What `kerastudy ui` serves: MLflow's server, by an entry point of `mlflow server`."""

from __future__ import annotations

import os
from typing import Final

from tracking.mlflow_parts import server_app
from tracking.ui.asgi import App
from tracking.ui.first_visit import for_studies
from tracking.ui.token_app import behind_token

NAME: Final = "kerastudy"
"""The entry point's name, in the group ``mlflow.app``."""
VARIABLE: Final = "KERASTUDY_UI_TOKEN"
"""The environment variable with the token; without one, or empty: none is needed."""


def create_app() -> App:
    """Returns MLflow's app, prepared for studies, behind the token that is in the environment."""
    app, token = for_studies(server_app()), os.environ.get(VARIABLE, "")
    return behind_token(app, token) if token else app
