"""The application: routes behind their guard, and how an error becomes an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from loop.serve import api, pages
from loop.serve.folders import Unknown
from loop.serve.guard import Guard
from loop.serve.matting import Busy
from loop.serve.service import Service
from loop.serve.settings import Settings
from loop.serve.steering import Refused
from stylematte.errors import ConfigError, UserError

CODES: dict[type[Exception], int] = {
    Unknown: 404,
    FileNotFoundError: 404,
    Refused: 409,
    ConfigError: 422,
    UserError: 422,
    Busy: 429,
}


def build_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """service: one whose queue is carried out by the caller; by default one whose queue is only kept."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.service.close()

    app = FastAPI(
        title="StyleMatte",
        description="Runs of the loop: see, steer, review pairs, queue, matte.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={422: {"model": api.Problem, "description": "Something asked for cannot be meant"}},
    )
    app.state.service = service or Service(settings)
    for error, code in CODES.items():
        app.add_exception_handler(error, _answer(code))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.include_router(api.router)
    app.include_router(pages.router)
    app.add_middleware(Guard, settings=settings)
    return app


def _answer(code: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        gone = isinstance(error, FileNotFoundError)  # moved away under us; its message has this machine's paths
        return JSONResponse({"detail": "it is gone" if gone else str(error)}, code)

    return answer


async def _invalid(request: Request, error: Exception) -> Response:
    """A line for each value, without the value: it may be anything, NaN as well."""
    assert isinstance(error, RequestValidationError), "it is registered for these"
    lines = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
    return JSONResponse({"detail": "\n".join(lines)}, 422)
