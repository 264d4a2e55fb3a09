"""Apps of ASGI, the interface of Python's web servers, and answers of such an app as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """An answer to a question by HTTP.

    Attributes:
        status: Such as 200.
        headers: By their names, in small letters.
        body: What follows them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


async def ask(app: App, scope: Scope, receive: Receive) -> Answer:
    """Returns an app's whole answer to a question by HTTP."""
    begun: dict[str, Any] = {}
    parts: list[bytes] = []

    async def keep(message: Any) -> None:
        if message["type"] == "http.response.start":
            begun.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, keep)
    headers = {key.decode("latin-1").lower(): v.decode("latin-1") for key, v in begun["headers"]}
    return Answer(begun["status"], headers, b"".join(parts))


async def answer(send: Send, given: Answer) -> None:
    """Sends an answer."""
    headers = {**given.headers, "content-length": str(len(given.body))}
    listed = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
    await send({"type": "http.response.start", "status": given.status, "headers": listed})
    await send({"type": "http.response.body", "body": given.body})
