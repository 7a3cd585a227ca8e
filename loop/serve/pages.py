"""The pages as HTML, by jinja2 templates; what they show they ask of the JSON API."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from loop.serve.api import RunName, service_of
from loop.serve.parts import report_style

HERE = Path(__file__).parent
TEMPLATES = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)
STATIC = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
ALONE = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; "
    "base-uri 'none'; sandbox allow-scripts"
)
"""Of report.html, which is one file with its own style and script: it may show itself, and reach nothing here."""
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def page(name: str, request: Request, **values: object) -> HTMLResponse:
    settings = service_of(request).settings
    shared = {"runs_dir": settings.runs_dir.name, "writable": settings.token is not None, "wide": settings.is_wide}
    return HTMLResponse(TEMPLATES.get_template(name).render(**shared, **values))


@router.get("/")
async def index(request: Request) -> HTMLResponse:
    return page("index.html", request, title="Runs", script="index.js")


@router.get("/login")
async def login(request: Request) -> HTMLResponse:
    return page("login.html", request, title="Token", script="login.js")


@router.get("/runs/{run}")
async def run_page(request: Request, run: RunName) -> HTMLResponse:
    service_of(request).folder(run)
    return page("run.html", request, title=run, script="run.js", run=run)


@router.get("/runs/{run}/pairs")
async def pairs_page(request: Request, run: RunName) -> HTMLResponse:
    service_of(request).folder(run)
    return page("pairs.html", request, title=f"{run}: pairs", script="pairs.js", run=run)


@router.get("/runs/{run}/report.html")
async def report(request: Request, run: RunName) -> FileResponse:
    file = service_of(request).folder(run) / "report.html"
    if not file.is_file():
        raise HTTPException(404, "the run has no report yet")
    return FileResponse(file, media_type="text/html", headers={"content-security-policy": ALONE})


@router.get("/static/report.css")
async def report_css() -> Response:
    return Response(report_style(), media_type="text/css", headers={"cache-control": "max-age=60"})


@router.get("/static/{name}")
async def static(name: str) -> FileResponse:
    file = next((each for each in (HERE / "static").iterdir() if each.name == name and each.suffix in STATIC), None)
    if file is None:
        raise HTTPException(404, "there is no such file")
    return FileResponse(file, media_type=STATIC[file.suffix], headers={"cache-control": "max-age=60"})
