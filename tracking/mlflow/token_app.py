"""Guards MLflow's server with a token, so that other machines can use it.

A browser sends the token once, in an address that ends in ``/?token=…``, and gets a cookie.
MLflow's clients send the token from ``MLFLOW_TRACKING_TOKEN``.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs

NAME: Final = "kerastudy"
"""The name of this app's entry point in the group ``mlflow.app``."""
VARIABLE: Final = "KERASTUDY_UI_TOKEN"
"""The environment variable with the token."""

# The types of an ASGI app.
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[Any], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]
_REFUSED: Final = b"This server needs a token: open the address that `kerastudy ui` printed.\n"


def create_app() -> _App:
    """Returns the app for `mlflow server --app-name`. Its token is in the environment."""
    # `mlflow server` runs this app. MLflow documents no other way to get it.
    from mlflow.server.fastapi_app import app

    return behind_token(app, os.environ[VARIABLE])


def behind_token(app: _App, token: str) -> _App:
    """Returns an ASGI app that passes requests on to `app` if they have the token.

    Requests for ``/health`` need no token.
    """

    def right(text: str) -> bool:
        return secrets.compare_digest(text.encode(), token.encode())

    async def guarded(scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] == "/health":
            await app(scope, receive, send)
            return
        # Browsers send a cookie to all ports of a machine, so the cookie's name has the port.
        name = f"kerastudy-token-{scope['server'][1]}"
        headers = {key.decode("latin-1"): text.decode("latin-1") for key, text in scope["headers"]}
        if right(headers.get("authorization", "").removeprefix("Bearer ")) or right(
            _cookie(headers.get("cookie", ""), name)
        ):
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif right(parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]):
            # The browser keeps the address's part after "#". SameSite keeps the cookie from pages
            # of other sites.
            cookie = f"{name}={token}; Path=/; HttpOnly; SameSite=Lax"
            await _answer(send, 303, {"location": "/", "set-cookie": cookie})
        else:
            await _answer(send, 401, {"www-authenticate": "Bearer"}, _REFUSED)

    return guarded


def _cookie(text: str, name: str) -> str:
    try:
        morsel = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


async def _answer(send: _Send, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    told = {"content-type": "text/plain", "cache-control": "no-store", **headers}
    told["content-length"] = str(len(body))
    listed = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})
