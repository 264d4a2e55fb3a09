"""MLflow's pages as a browser gets them that knows nothing of MLflow yet."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from tracking.mlflow_parts import CHOICES_IN_BROWSERS, PRESENT_USER
from tracking.ui.first_visit import for_studies

PAGE = b"<!doctype html><html><head><title>MLflow</title></head></html>"


def asked(
    path: str, body: bytes, status: int = 200, kind: str = "text/html", method: str = "GET"
) -> tuple[int, dict[bytes, bytes], bytes, list[bytes]]:
    """Asks an app that gives this answer, in two parts; also returns what it got for headers."""
    got: list[bytes] = []
    sent: list[dict[str, Any]] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        got.extend(name for name, _ in scope["headers"])
        headers = [(b"Content-Type", kind.encode()), (b"etag", b"x"), (b"content-length", b"62")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body[:9], "more_body": True})
        await send({"type": "http.response.body", "body": body[9:]})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    given = [(b"if-none-match", b"x"), (b"accept-encoding", b"gzip"), (b"host", b"127.0.0.1")]
    scope = {"type": "http", "path": path, "method": method, "headers": given}
    asyncio.run(for_studies(behind)(scope, None, send))  # type: ignore[arg-type]
    start, *parts = sent
    headers = {name.lower(): text for name, text in start["headers"]}
    return start["status"], headers, b"".join(each["body"] for each in parts), got


def test_the_page_sets_choices_before_the_ui_reads_them() -> None:
    status, headers, body, got = asked("/", PAGE)
    assert status == 200 and int(headers[b"content-length"]) == len(body)
    # The browser may have the page of another server, that was here before.
    assert got == [b"host"] and b"etag" not in headers
    script = re.search(r"<head><script>(.*?)</script>", body.decode(), re.DOTALL)
    assert script is not None and body.replace(script[0][6:].encode(), b"") == PAGE
    listed = re.search(r"Object\.entries\((\{.*?\})\)", script[1])
    assert listed is not None and json.loads(listed[1]) == CHOICES_IN_BROWSERS


def test_all_else_is_passed_on_unchanged() -> None:
    for path, status, kind, method in (
        ("/static-files/main.js", 200, "text/html", "GET"),
        ("/", 403, "text/html", "GET"),
        ("/", 200, "text/plain", "GET"),
        ("/", 200, "text/html", "HEAD"),
    ):
        found = asked(path, PAGE, status, kind, method)
        assert (found[0], found[2], found[1][b"etag"]) == (status, PAGE, b"x")


def test_nobody_is_logged_in() -> None:
    assert asked(PRESENT_USER, b"Not Found", 404)[::2] == (200, b"{}")
    assert asked(PRESENT_USER, b"no", 403)[::2] == (403, b"no")
