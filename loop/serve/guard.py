"""Who may do what, before any route is asked: host, origin, token, size of the body; and the headers of every answer.

Reading is free on loopback. Writing needs the token in a header, which no foreign page can set, and comes from the same
origin. Where other machines can connect reading needs the token, too: in the header, or as the cookie that
POST /api/session gives for it, which is of this start of the service and is sent from its own pages only.
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loop.serve.settings import Settings

COOKIE = "stylematte"
READING = {"GET", "HEAD", "OPTIONS"}
OPEN = ("/healthz", "/static/", "/login")
"""What anybody may read who can connect."""
DIGITS = 18
"""Of a length in bytes; a longer one is none."""
HARMLESS = {"/matte"}
"""What writes nothing, though it is a POST: as free as reading."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-cache",
}


class Refusal(NamedTuple):
    status: int
    detail: str


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.cookie = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.settings.max_photo if scope["path"] in HARMLESS else self.settings.max_body

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self.refusal(scope, limit)
        if refusal is not None:
            await _answer(refusal, scope, receive, with_headers)
            return
        scope["session_cookie"] = f"{COOKIE}={self.cookie}; Path=/; HttpOnly; SameSite=Strict"
        await self.app(scope, _limited(receive, limit), with_headers)

    def refusal(self, scope: Scope, limit: int) -> Refusal | None:
        """Why the request is not let through; None if it is."""
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        if not self.settings.is_wide and not self._is_ours(host):
            return Refusal(421, "unknown host: the service answers to the name it was started with, and to localhost")
        writes = scope["method"] not in READING
        if writes and not _same_origin(headers, host):
            return Refusal(403, "refused: the request comes from another site")
        if writes and path not in HARMLESS:
            if self.settings.token is None:
                return Refusal(403, "read-only: start the service with a token (STYLEMATTE_TOKEN) to write")
            if not self._has_token(headers):
                return Refusal(401, "the token is missing or wrong: send it as `Authorization: Bearer TOKEN`")
        elif self.settings.is_wide and not (path.startswith(OPEN) or self._may_read(headers)):
            return Refusal(401, "the token is missing or wrong: send it as `Authorization: Bearer TOKEN`")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or len(length) > DIGITS:
            return Refusal(400, "content-length is no number of bytes")
        return _too_large(limit) if int(length) > limit else None

    def _is_ours(self, host: str) -> bool:
        """Against pages that point a name of their own at 127.0.0.1 to read what is here."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return name.strip("[]").lower() in {"localhost", "127.0.0.1", "::1", self.settings.host.lower()}

    def _has_token(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        token = self.settings.token
        return token is not None and kind.lower() == "bearer" and _equal(given.strip(), token)

    def _may_read(self, headers: Headers) -> bool:
        return self._has_token(headers) or self._has_cookie(headers)

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and _equal(morsel.value, self.cookie)


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _same_origin(headers: Headers, host: str) -> bool:
    """By what browsers say of themselves; other clients say nothing and have no cookies to steal."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin in (f"http://{host}", f"https://{host}")


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"the body is too large: at most {limit} bytes are taken here")


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive` that raises once more than `limit` bytes have come, whatever the headers said."""
    count = 0

    async def limited() -> Message:
        nonlocal count
        message = await receive()
        if message["type"] == "http.request":
            count += len(message.get("body", b""))
            if count > limit:
                raise HTTPException(*_too_large(limit))
        return message

    return limited


async def _answer(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    response: Response = JSONResponse({"detail": refusal.detail}, refusal.status)
    if refusal.status == 401 and "text/html" in Headers(scope=scope).get("accept", ""):
        response = RedirectResponse("/login", 303)
    elif refusal.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if refusal.status == 413:
        response.headers["connection"] = "close"
    await response(scope, receive, send)
