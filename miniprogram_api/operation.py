"""Health, metrics and the API's documentation: what those who run and connect the product look at."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog
from apiflask import APIBlueprint
from flask import Response, g, redirect, render_template_string, request, send_from_directory
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from miniprogram_api.auth import public
from miniprogram_api.context import core, now
from miniprogram_api.idempotent import json_response

if TYPE_CHECKING:
    from apiflask import APIFlask
    from flask import Request
    from werkzeug.wrappers import Response as WerkzeugResponse

    from server.operations.queries import QueueHealth

bp = APIBlueprint("operation", __name__, enable_openapi=False)
_STATIC = Path(__file__).parent / "static"
_log = structlog.get_logger("web")

REGISTRY = CollectorRegistry()
REQUESTS = Counter("huiban_http_requests_total", "HTTP requests", ["route", "method", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "huiban_http_request_seconds",
    "Time to answer",
    ["route"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

_SWAGGER_PAGE = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>Huiban 会伴 API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="/docs/assets/favicon-32x32.png"><link rel="stylesheet" href="/docs/assets/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/assets/start.js"></script></body></html>"""


def init_app(app: APIFlask) -> None:
    """Register health, metrics and documentation, and measure every request."""
    app.register_blueprint(bp)
    app.before_request(_start_timer)
    app.after_request(_measure)


def _start_timer() -> None:
    g.started_at = time.perf_counter()


def _measure(response: Response) -> Response:
    # The rule, not the path: a path carries ids, and a metric with a series for each id fills the memory.
    asked: Request = cast("Any", request)._get_current_object()  # noqa: SLF001 - Werkzeug's documented way past its proxy
    route = asked.url_rule.rule if asked.url_rule else "unmatched"
    seconds = time.perf_counter() - g.get("started_at", time.perf_counter())
    count(route, asked.method, response.status_code, seconds)
    return response


def count(route: str, method: str, status: int, seconds: float) -> None:
    """Count an answer and write its line in the log.

    Arguments:
        route: the rule of the address, never the address itself.
        method: of the request.
        status: of the answer.
        seconds: how long it took.
    """
    counter, histogram = _series(route, method, status)
    counter.inc()
    histogram.observe(seconds)
    _log.info("request", route=route, status=status, milliseconds=round(seconds * 1000, 1))


@lru_cache(maxsize=4096)
def _series(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """Return a route's series, which finding by their labels costs more than counting."""
    return REQUESTS.labels(route, method, status), SECONDS.labels(route)


@bp.get("/")
@public
def front_door() -> WerkzeugResponse:
    """Lead a person who opens the bare address to the console."""
    return redirect("/admin/")


@bp.get("/livez")
@public
def livez() -> Response:
    """Tell that the process answers."""
    return json_response({"status": "ok"})


@bp.get("/readyz")
@public
def readyz() -> Response:
    """Tell whether this process can serve: its database answers. Redis is not needed to serve members, so it is not asked."""
    try:
        with core().db.reading() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return json_response({"status": "unavailable", "database": "unreachable"}, 503)
    return json_response({"status": "ok", "database": "ok"})


@bp.get("/metrics")
@public
def metrics() -> Response:
    """Give the metrics of all web processes in Prometheus' format; the reverse proxy keeps this path inside (docs/deploy.md).

    Each process counts for itself. Under ``PROMETHEUS_MULTIPROC_DIR`` they count in files of that folder, and whichever is asked
    adds them up; without it the answer is that of the process asked.
    """
    from server.operations import queries as operations  # noqa: PLC0415 - only this page needs them

    with core().db.reading() as session:
        health = operations.queue_health(session, now())
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library leaves its constructor untyped
    outbox = CollectorRegistry()
    outbox.register(_Outbox(health))
    return Response(generate_latest(registry) + generate_latest(outbox), content_type=CONTENT_TYPE_LATEST)


class _Outbox(Collector):
    """How the outbox stands in the database, the same whichever process is asked."""

    def __init__(self, health: QueueHealth) -> None:
        self._health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges."""
        deliveries = GaugeMetricFamily("huiban_outbox_deliveries", "Deliveries of the outbox by state", labels=["state"])
        for state in ("pending", "dispatched", "dead", "uncertain"):
            deliveries.add_metric([state], getattr(self._health, state))
        yield deliveries
        oldest = self._health.oldest_pending_seconds or 0
        yield GaugeMetricFamily("huiban_outbox_oldest_pending_seconds", "Age of the oldest delivery that waits", value=oldest)


@bp.get("/docs")
@public
def docs() -> Response:
    """Show the API's documentation, served from this repository alone."""
    page = Response(render_template_string(_SWAGGER_PAGE), content_type="text/html; charset=utf-8")
    page.headers["Content-Security-Policy"] = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    )
    return page


@bp.get("/docs/assets/<path:name>")
@public
def docs_asset(name: str) -> Response:
    """Give one file of the documentation's own."""
    response = send_from_directory(_STATIC / "swagger-ui", name, max_age=86400)
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


@bp.get("/favicon.ico")
@public
def favicon() -> WerkzeugResponse:
    """Give browsers the icon they ask every site for."""
    return redirect("/docs/assets/favicon-32x32.png")
