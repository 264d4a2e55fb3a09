"""MLflow's pages as people see them first: those of trainings, and nothing in front of them.

MLflow's UI keeps what a person chose in the browser. A browser that knows nothing yet is shown the
side for language models, where a study is a page of empty traces; an assistant that takes a quarter
of the window; and a note that usage data is collected, though it is not. So the page that loads the
UI sets these choices where there are none.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from tracking.mlflow_parts import CHOICES_IN_BROWSERS, PRESENT_USER
from tracking.ui.asgi import Answer, App, Receive, Scope, Send, answer, ask

# Without storage, as in some private windows, the UI has its own defaults.
_SCRIPT: Final = """<script>try {
  for (const [key, value] of Object.entries(%s))
    if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
} catch {}</script>"""
# What would bring the page compressed, in part, or as the browser has it from another server.
_LEFT_OUT: Final = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")


def for_studies(app: App) -> App:
    """Returns MLflow's app with the choices set that suit studies, where a browser has none."""

    async def prepared(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" and scope["method"] == "GET" else ""
        if path == "/":
            asked = [(name, text) for name, text in scope["headers"] if name not in _LEFT_OUT]
            await answer(send, _prepared(await ask(app, {**scope, "headers": asked}, receive)))
        elif path == PRESENT_USER:
            await answer(send, _nobody(await ask(app, scope, receive)))
        else:
            await app(scope, receive, send)

    return prepared


def _prepared(page: Answer) -> Answer:
    if page.status != 200 or not page.headers.get("content-type", "").startswith("text/html"):
        return page
    before, head, rest = page.body.partition(b"<head>")
    script = (_SCRIPT % json.dumps(CHOICES_IN_BROWSERS)).encode()
    kept = {k: v for k, v in page.headers.items() if k not in ("etag", "last-modified")}
    return replace(page, headers=kept, body=before + head + (script if head else b"") + rest)


def _nobody(found: Answer) -> Answer:
    """Returns the answer that nobody is logged in; MLflow's 404 is an error in each page."""
    if found.status != 404:
        return found
    return Answer(200, {"content-type": "application/json", "cache-control": "no-store"}, b"{}")
