"""The MLflow UI for other machines: only those who have the token get through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from search_spaces import StoreError
from tracking.mlflow import behind_token, free_place

TOKEN = "a-token_1"


def asked(path: str = "/", query: str = "", kind: str = "http", **headers: str) -> dict[str, Any]:
    """Asks the guarded app; returns its first message, or that it passed the question on."""
    sent: list[dict[str, Any]] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "passed"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), text.encode("latin-1")) for name, text in headers.items()],
        "server": ("127.0.0.1", 5000),
    }
    asyncio.run(behind_token(behind, TOKEN)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": ""},
        {"authorization": "Bearer é"},
        {"cookie": "kerastudy-token-5000=wrong"},
        {"cookie": f"kerastudy-token-5001={TOKEN}"},
        {"cookie": "\x00;=;=\x7f"},
    ],
)
def test_without_the_token_nothing_is_answered(headers: dict[str, str]) -> None:
    for path in ("/", "/ajax-api/2.0/mlflow/experiments/search", "/get-artifact", "//health"):
        assert asked(path, "token=wrong&token=", **headers)["status"] == 401
    assert asked(kind="websocket", **headers)["type"] == "websocket.close"


def test_the_token_is_a_header_or_a_cookie_and_the_address_gives_the_cookie() -> None:
    assert asked(authorization=f"Bearer {TOKEN}")["type"] == "passed"
    first = asked("//elsewhere.example", f"token={TOKEN}")
    headers = dict(first["headers"])
    assert (first["status"], headers[b"location"]) == (303, b"/")
    cookie = headers[b"set-cookie"].decode()
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    given = f"other=1; {cookie.partition(';')[0]}"
    assert asked("/get-artifact", cookie=given)["type"] == "passed"
    assert asked(kind="websocket", cookie=given)["type"] == "passed"


def test_other_machines_always_need_one() -> None:
    assert free_place().token == free_place("localhost").token == ""
    assert "token=" not in free_place().studies_page
    assert free_place(token=True).token
    everywhere = free_place("0.0.0.0")
    assert len(everywhere.token) >= 32
    assert f"/?token={everywhere.token}#/" in everywhere.study_page("1", "trials")
    assert everywhere.token not in everywhere.address
    # An address that is kept for documentation (RFC 5737) is no machine's.
    with pytest.raises(StoreError, match="can't listen on '203"):
        free_place("203.0.113.9")
