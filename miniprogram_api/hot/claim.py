"""Claiming a coupon: what a rush comes to, in one statement of ``flows.claim``."""

from __future__ import annotations

import hashlib
import io
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from miniprogram_api.hot.asked import Answered, Asked
from miniprogram_api.idempotent import fit_key, hash_of, route_of, to_json
from miniprogram_api.problems import PROBLEM, document_of
from miniprogram_api.v1.coupons import shape_terms
from server.coupons import queries, service
from server.coupons.errors import SoldOutError
from server.coupons.rules.states import CouponState
from server.flows import claim as claim_flow
from server.flows.claim import ClaimRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from apiflask import APIFlask

    from server.bootstrap import Core
    from server.coupons.queries import TemplateView
    from server.kernel.errors import DomainError

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ADDRESS = re.compile(f"/api/v1/coupon-templates/({_UUID})/claims")
# A claim says all in its address; some clients send an empty object along.
_LONGEST_BODY_BYTES = 1024
# A template is edited by hand and read by thousands. One that is older than it looks costs one statement that takes nothing.
_READ_AGAIN_SECONDS = 5.0
_MOST_KEPT = 256
_LANGUAGES_KEPT = 16


@dataclass(slots=True)
class _Known:
    """A template as it was read, and what its coupons say to readers of each language."""

    view: TemplateView
    read_at: float
    told: dict[str, orjson.Fragment] = field(default_factory=dict)
    sold_out: bool = False


class ClaimPage:
    """``POST /api/v1/coupon-templates/{id}/claims`` of a template that asks nothing of a member but to hold none of it.

    Arguments:
        core: what it stands on.
        app: whose languages and refusals it speaks.
    """

    method = "POST"
    rule = "/api/v1/coupon-templates/<uuid:template_id>/claims"
    endpoint = "v1_coupon_templates.claim"

    def __init__(self, core: Core, app: APIFlask) -> None:
        self._core = core
        self._app = app
        self._known: dict[UUID, _Known] = {}
        self._route = route_of(self.method, self.rule)
        self._refusals: dict[tuple[str, str], dict[str, Any]] = {}

    def is_at(self, path: str) -> bool:
        """Tell whether an address is this page's."""
        return _ADDRESS.fullmatch(path) is not None

    def answer(self, asked: Asked) -> Answered | None:
        """Return the coupon or the refusal, or None for whatever Flask's way has to look into."""
        environ = asked.environ
        found = _ADDRESS.fullmatch(asked.path)
        key = environ.get("HTTP_IDEMPOTENCY_KEY", "")
        length = environ.get("CONTENT_LENGTH") or "0"
        plain = length.isascii() and length.isdigit() and int(length) <= _LONGEST_BODY_BYTES and "HTTP_TRANSFER_ENCODING" not in environ
        if found is None or not plain or not fit_key(key):
            return None
        known = self._template(UUID(found.group(1)))
        if not service.claimable_by_all(known.view, now=asked.now):
            return None
        language = environ.get("HTTP_ACCEPT_LANGUAGE", "")
        request = ClaimRequest(asked.access_hash, self._route, key, hash_of(f"{asked.path}?", _hash_of_body(environ, int(length))))
        outcome = self._claimed(known, request, language, asked.now)
        if isinstance(outcome, bytes):
            return Answered(claim_flow.CREATED, outcome)
        known.sold_out = isinstance(outcome, SoldOutError) or (known.sold_out and outcome is not None)
        if outcome is None:
            # It may have been edited: whoever asks next looks again.
            self._known.pop(known.view.id, None)
            return None
        return Answered(outcome.status, to_json(self._refusal(outcome, language) | {"request_id": asked.request_id}), PROBLEM)

    def _claimed(self, known: _Known, request: ClaimRequest, language: str, now: datetime) -> bytes | DomainError | None:
        view = known.view
        with self._core.db.autocommit(durable=True) as runner:
            refusal = claim_flow.in_vain(runner, view, request, now=now) if known.sold_out else None
            if refusal is not None:
                return refusal
            template = self._told(known, language)
            giftable = view.draft.terms.giftable
            return claim_flow.at_once(runner, view, request, lambda coupon: _body(coupon, template, giftable=giftable), now=now)

    def _template(self, template_id: UUID) -> _Known:
        known = self._known.get(template_id)
        present = time.monotonic()
        if known is not None and present - known.read_at < _READ_AGAIN_SECONDS:
            return known
        with self._core.db.reading() as session:
            # What is not there is told by Flask's way.
            view = queries.find_template(session, template_id)
        told = known.told if known is not None and known.view.version == view.version else {}
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        fresh = self._known[template_id] = _Known(view, present, told)
        return fresh

    def _told(self, known: _Known, language: str) -> orjson.Fragment:
        found = known.told.get(language)
        if found is None:
            if len(known.told) >= _LANGUAGES_KEPT:
                known.told.clear()
            with self._app.test_request_context(headers={"Accept-Language": language}):
                found = known.told[language] = orjson.Fragment(to_json(shape_terms(known.view.id, known.view.draft.terms)))
        return found

    def _refusal(self, error: DomainError, language: str) -> dict[str, Any]:
        found = self._refusals.get((error.code, language))
        if found is None:
            if len(self._refusals) >= _LANGUAGES_KEPT:
                self._refusals.clear()
            with self._app.test_request_context(headers={"Accept-Language": language}):
                found = self._refusals[error.code, language] = document_of(error)
        return found


def _hash_of_body(environ: dict[str, Any], length: int) -> str:
    body = environ["wsgi.input"].read(length) if length else b""
    # Put back for Flask, should it have to answer after all.
    environ["wsgi.input"] = io.BytesIO(body)
    return hashlib.sha256(body).hexdigest()


def _body(coupon: Mapping[str, Any], template: orjson.Fragment, *, giftable: bool) -> bytes:
    """Return the bytes of a ``CouponOut``; building the model only to take it apart again cost more than all else here."""
    body = {
        "id": coupon["id"],
        "code": coupon["code"],
        "template": template,
        "state": CouponState.ISSUED.value,
        "valid_from": coupon["valid_from"],
        "valid_until": coupon["valid_until"],
        "issued_at": coupon["issued_at"],
        "locked_until": None,
        "redeemed_at": None,
        "discount_fen": None,
        "giftable": giftable,
    }
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)
