"""The MLflow UI: its server, and the views of a study that are prepared in it.

| module | holds |
|---|---|
| `server` | the UI on a store: started, on loopback unless asked, and stopped cleanly |
| `app` | what it serves: MLflow's server, prepared for studies |
| `first_visit` | MLflow's pages as people see them first |
| `token_app` | a server behind a token, for other machines |
| `asgi` | apps of web servers, and their answers |
| `views` | prepared views of a study: *Trials*, *Charts* and *Curves* |
"""
