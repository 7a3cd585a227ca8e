"""The JSON API, described at /openapi.json: reading runs, steering them, reviews of pairs, the queue, matting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from loop.serve import metrics, pairs, steering
from loop.serve.folders import Unknown
from loop.serve.matting import Output
from loop.serve.pairs import Decision, Kind, Show
from loop.serve.service import Service
from loop.serve.steering import Action
from stylematte.rounds import find_matter

T = TypeVar("T")
MOST = 500
"""Pairs, or words, that one request may ask for."""
FOREVER = "private, max-age=86400, immutable"


class Problem(BaseModel):
    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body cannot be read"},
    401: {"model": Problem, "description": "The token is missing or wrong"},
    403: {"model": Problem, "description": "Read-only, or asked by another site"},
    404: {"model": Problem, "description": "There is nothing of that name"},
    409: {"model": Problem, "description": "Cannot be done as things are"},
    413: {"model": Problem, "description": "The body is too large"},
}
PHOTO = {"type": "string", "format": "binary", "description": "A picture file, as it is"}
READS: dict[int | str, dict[str, Any]] = {code: REFUSALS[code] for code in (401, 404)}
HTML: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {}}}}
GONE: dict[int | str, dict[str, Any]] = {204: {"description": "It was there and has gone since"}}
router = APIRouter()

RunName = Annotated[str, Path(description="A run's folder below RUNS_DIR, with : for /", max_length=300)]
Round = Annotated[int, Query(ge=0, le=99)]
Domain = Annotated[str, Query(max_length=100)]
By = Annotated[str | None, Header(alias="X-By", description="Who asks, for the audit log", max_length=80)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ActionBody(Strict):
    action: Action
    round: int | None = Field(None, ge=0, le=99, description="Of rollback: the last round that stays")
    redo: bool = Field(False, description="Of start and resume: results that took long may be made again")


class ReviewBody(Strict):
    round: int = Field(ge=0, le=99)
    domain: str = Field(max_length=100)
    id: str = Field(max_length=300)
    decision: Decision
    reason: str = Field("", max_length=300)


class JobBody(Strict):
    run: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Its folder below RUNS_DIR")
    config: str = Field(max_length=200, description="One of /api/configs")
    words: list[Annotated[str, Field(max_length=500)]] = Field(default_factory=list, max_length=MOST)
    priority: int = Field(0, ge=-1000, le=1000, description="The highest goes first")
    slots: int | None = Field(None, ge=1, le=64, description="Devices; by default launch.devices")
    redo: bool = False


class PriorityBody(Strict):
    priority: int = Field(ge=-1000, le=1000)


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def asker(request: Request, by: str | None) -> str:
    """For the audit log: the name somebody gave, and the address."""
    address = request.client.host if request.client else "?"
    return f"{by} ({address})" if by else address


async def in_thread(call: Callable[[], T]) -> T:
    return await run_sync(call)


@router.get("/healthz", tags=["node"])
async def healthz(request: Request) -> dict[str, str]:
    """Whether the service and its queue are at work."""
    jobs = service_of(request).jobs
    return {"status": "ok", "queue": "at work" if jobs.is_alive() else "not started"}


@router.get("/metrics", tags=["node"], response_class=Response)
async def scrape(request: Request) -> Response:
    """Prometheus."""
    service = service_of(request)
    live = {name: await service.live(name) for name in list(service.runs.all())}
    text = await in_thread(lambda: metrics.exposition(live, service.queue.jobs(most=10_000)))
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/runs", tags=["runs"])
async def runs(request: Request) -> dict[str, Any]:
    """All runs, the last touched first."""
    return {"runs": await service_of(request).summaries()}


@router.get("/api/runs/{run}", tags=["runs"], responses=READS)
async def run_overview(request: Request, run: RunName) -> dict[str, Any]:
    """Rounds, steps, gain, what asks for a decision, the audit log."""
    return await service_of(request).overview(run)


@router.get("/api/runs/{run}/live", tags=["runs"], responses=READS)
async def run_live(request: Request, run: RunName) -> dict[str, Any]:
    """What the loop does now; `version` changes when the rest of the run does."""
    return await service_of(request).live(run)


@router.get("/api/runs/{run}/parts", tags=["runs"], responses=READS)
async def run_parts(request: Request, run: RunName) -> dict[str, Any]:
    """The parts of its report, each with a digest of its text."""
    return (await service_of(request).parts(run)).listing()


@router.get("/api/runs/{run}/parts/{anchor}", tags=["runs"], responses=READS | HTML | GONE, response_class=Response)
async def run_part(
    request: Request, run: RunName, anchor: Annotated[str, Path(max_length=40)], v: str = Query("", max_length=40)
) -> Response:
    """One part as HTML. v: the digest that is expected, for caches; a part that was listed with one and has gone since,
    as after a rollback, is no content instead of an error."""
    part = (await service_of(request).parts(run)).parts.get(anchor)
    if part is None and v:
        return Response(status_code=204)
    if part is None:
        raise Unknown("the report has no such part")
    return HTMLResponse(part.html, headers={"cache-control": FOREVER} if v == part.digest else None)


@router.post("/api/runs/{run}/actions", tags=["steering"], responses=REFUSALS)
async def run_action(request: Request, run: RunName, body: ActionBody, by: By = None) -> dict[str, str]:
    """start and resume wait in the queue; pause and stop are passed to the loop; rollback happens at once."""
    service = service_of(request)
    done = await in_thread(lambda: steering.act(service, run, body.action, asker(request, by), body.round, body.redo))
    service.forget_live(run)
    service.forget_queue()
    return {"detail": done}


@router.get("/api/runs/{run}/pairs", tags=["pairs"], responses=READS)
async def run_pairs(
    request: Request,
    run: RunName,
    round: Round,
    domain: Domain,
    show: Show = "all",
    offset: int = Query(0, ge=0, le=10_000_000),
    limit: int = Query(200, ge=1, le=MOST),
) -> dict[str, Any]:
    """The candidates of a round and domain, a page of them."""
    return pairs.shown(await service_of(request).candidates(run, round, domain), show, offset, limit)


@router.get("/api/runs/{run}/pictures", tags=["pairs"], responses=READS, response_class=Response)
async def run_picture(
    request: Request,
    run: RunName,
    round: Round,
    domain: Domain,
    id: Annotated[str, Query(max_length=300)],
    kind: Kind = "cutout",
    side: int = Query(160, ge=16, le=1024),
    v: str = Query("", max_length=40),
) -> Response:
    """A candidate as WebP: straight RGBA, or its alpha. v: the version of the pairs, for caches."""
    service = service_of(request)
    folder, found = service.folder(run), await service.candidates(run, round, domain)
    webp = await in_thread(lambda: pairs.picture(folder, found, id, kind, side))
    headers = {"cache-control": FOREVER} if v == found.version else None
    return Response(webp, media_type="image/webp", headers=headers)


@router.post("/api/runs/{run}/reviews", tags=["pairs"], responses=REFUSALS)
async def run_review(request: Request, run: RunName, body: ReviewBody, by: By = None) -> dict[str, Any]:
    """Accept or refuse a pair by hand, or take that back; the next `select` honours it."""
    service = service_of(request)
    folder, found = service.folder(run), await service.candidates(run, body.round, body.domain)
    who = asker(request, by)
    return await in_thread(lambda: pairs.decide(folder, found, body.id, body.decision, body.reason, who))


@router.get("/api/configs", tags=["queue"])
async def configs(request: Request) -> dict[str, list[str]]:
    """The configurations that a job may name."""
    service = service_of(request)
    return {"configs": await in_thread(lambda: list(steering.configurations(service)))}


@router.get("/api/queue", tags=["queue"])
async def queue(request: Request) -> dict[str, Any]:
    """What runs, what waits in its order, what is over."""
    service = service_of(request)
    return {"devices": list(service.settings.devices), "jobs": await service.queued()}


@router.post("/api/queue", tags=["queue"], responses=REFUSALS, status_code=201)
async def submit(request: Request, body: JobBody, by: By = None) -> dict[str, Any]:
    """Submit a run; the configuration is checked now."""
    service, who = service_of(request), asker(request, by)
    job = await in_thread(
        lambda: steering.submit(service, body.run, body.config, body.words, body.priority, body.slots, who, body.redo)
    )
    service.forget_queue()
    return job.to_json()


@router.post("/api/queue/{job}/cancel", tags=["queue"], responses=REFUSALS)
async def cancel(request: Request, job: Annotated[int, Path(ge=1, le=2**53)], by: By = None) -> dict[str, str]:
    """A waiting job is over; a running one saves its checkpoint and ends."""
    service, who = service_of(request), asker(request, by)
    await in_thread(lambda: service.jobs.cancel(_active(service, job), who))
    service.forget_queue()
    return {"detail": "cancelled"}


@router.post("/api/queue/{job}/priority", tags=["queue"], responses=REFUSALS)
async def prioritise(request: Request, job: Annotated[int, Path(ge=1, le=2**53)], body: PriorityBody) -> dict[str, str]:
    """Move a waiting job."""
    service = service_of(request)
    await in_thread(lambda: service.queue.prioritise(_active(service, job).id, body.priority))
    service.forget_queue()
    return {"detail": "moved"}


def _active(service: Service, id_: int) -> Any:
    job = service.queue.job(id_)
    if job is None:
        raise Unknown("there is no job of that number")
    if job.state not in ("waiting", "running"):
        raise steering.Refused(f"job {id_} is over: {job.state}")
    return job


@router.post(
    "/matte",
    tags=["matte"],
    response_class=Response,
    responses={**REFUSALS, 200: {"content": {"image/png": {}}}, 429: {"model": Problem}},
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": PHOTO}}}},
)
async def matte(
    request: Request,
    run: str | None = Query(None, max_length=300, description="By default the run touched last that has a matter"),
    output: Output = "rgba",
) -> Response:
    """A photo -> PNG: its cut-out (straight RGBA), or its alpha, by the best matter of a run."""
    service = service_of(request)
    named = [service.folder(run)] if run is not None else list(service.runs.all().values())
    found = await in_thread(lambda: next((each for folder in named if (each := find_matter(folder))), None))
    if found is None:
        raise Unknown("no run has an accepted matter yet")
    photo = await request.body()
    png = await in_thread(lambda: service.matting.matte(found, photo, output))
    return Response(png, media_type="image/png")


@router.post("/api/session", tags=["node"], responses=REFUSALS)
async def session(request: Request) -> JSONResponse:
    """The cookie by which a browser that has the token reads pages where reading needs it."""
    return JSONResponse({"detail": "known"}, headers={"set-cookie": request.scope["session_cookie"]})
