"""Kuaidi100 pushes what happened to a parcel."""

from __future__ import annotations

import orjson
from apiflask import APIBlueprint
from flask import Response, request
from flask_babel import gettext

from miniprogram_api.auth import verified_by_signature
from miniprogram_api.context import core, now
from miniprogram_api.openapi import documented
from miniprogram_api.problems import problem_of
from server.flows import order_events as flow
from server.kernel.errors import DomainError
from server.logistics.kuaidi100 import parse_callback

bp = APIBlueprint("callback_kuaidi100", __name__, url_prefix="/callbacks", tag="Callbacks")


@bp.post("/kuaidi100")
@verified_by_signature
@documented(
    takes={
        "application/x-www-form-urlencoded": {
            "type": "object",
            "properties": {"param": {"type": "string", "description": "JSON"}, "sign": {"type": "string"}},
            "required": ["param", "sign"],
        }
    },
    gives={
        "application/json": {
            "type": "object",
            "properties": {"result": {"type": "boolean"}, "returnCode": {"type": "string"}, "message": {"type": "string"}},
            "required": ["result", "returnCode", "message"],
        }
    },
)
def kuaidi100() -> Response:
    """Take a parcel's news: ``sign`` = upper-case MD5 of the raw ``param`` and our salt.

    Answered ``{"result": true, "returnCode": "200", "message"}``; a wrong signature 401 and unreadable content 400, both with
    ``result`` false, and nothing is changed.
    """
    try:
        update = parse_callback(request.form, core().settings.kuaidi100_salt)
    except DomainError as refusal:
        return _refused(refusal)
    core().db.run(lambda session: flow.apply_tracking(session, update, now=now()))
    body = {"result": True, "returnCode": "200", "message": gettext("Received.")}
    return Response(orjson.dumps(body), content_type="application/json")


def _refused(refusal: DomainError) -> Response:
    # A problem document as everywhere, with the three fields beside it that Kuaidi100 looks at.
    response = problem_of(refusal)
    body = orjson.loads(response.get_data())
    response.set_data(orjson.dumps({**body, "result": False, "returnCode": str(response.status_code), "message": body["detail"]}))
    return response
