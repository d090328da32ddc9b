"""The guard of the partner API: a request is let in when a live key signed exactly these bytes, just now, for the first time."""

from __future__ import annotations

import re
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import quote

from flask import g, request

from miniprogram_api.auth import GUARD
from miniprogram_api.context import core, now
from server.partners import queries, rules, service
from server.partners.errors import BadSignatureError, ScopeMissingError, StaleTimestampError, UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

# What callers leave unescaped in a path: all that RFC 3986 allows, nothing but slashes, or JavaScript's encodeURIComponent.
_WAYS_OF_ESCAPING = ("/:@!$&'()*+,;=~", "/", "/!'()*~")
_ESCAPE = re.compile(r"%[0-9A-F]{2}")


def partner_required(scope: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only signed calls of partners with a scope in; the key is in ``g.partner`` afterwards.

    Arguments:
        scope: one of ``partners.rules.SCOPES``.

    Raises:
        ValueError: for a scope that does not exist, when the view is defined.
    """
    if scope not in rules.SCOPES:
        raise ValueError(scope)

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            g.partner = _checked_partner(scope)
            return view(*args, **kwargs)

        setattr(guarded, GUARD, f"partner:{scope}")
        return guarded

    return guard


def _checked_partner(scope: str) -> queries.PartnerKey:
    """Return the key that signed this request.

    The nonce is taken last, so that a request that is refused for another reason may be sent again as it is.
    """
    headers = request.headers
    key_id = headers.get("X-Huiban-Key", "")
    timestamp = headers.get("X-Huiban-Timestamp", "")
    nonce = headers.get("X-Huiban-Nonce", "")
    present = now()
    with core().db.autocommit() as session:
        key = queries.key(session, key_id) if key_id else None
    if key is None or not key.active:
        raise UnknownKeyError
    given, body = headers.get("X-Huiban-Signature", ""), request.get_data(cache=True)
    signed = (rules.string_to_sign(request.method, path, timestamp, nonce, body) for path in sent_paths())
    if not any(rules.signature_holds(key.secret, text, given) for text in signed):
        raise BadSignatureError
    if not rules.timestamp_fits(timestamp, present.timestamp()):
        raise StaleTimestampError
    if not rules.nonce_fits(nonce):
        raise BadSignatureError(fields={"X-Huiban-Nonce": "16–64"})
    if scope not in key.scopes:
        raise ScopeMissingError(scope=scope)
    with core().db.autocommit() as session:
        service.take_nonce(session, key_id, nonce, now=present)
    return key


def sent_paths() -> list[str]:
    """Return path and query as they were sent, escapes and all.

    Granian hands on the path unescaped only. Then every usual way of escaping it is tried: they all name the same path, so a signature
    over any of them vouches for this very request.
    """
    raw = request.environ.get("REQUEST_URI") or request.environ.get("RAW_URI")
    if raw:
        if "://" in raw.split("?", 1)[0]:
            # The absolute form of RFC 9112, §3.2.2: scheme and host are not part of what is signed.
            raw = "/" + raw.split("://", 1)[1].partition("/")[2]
        return [str(raw)]
    path = request.environ.get("PATH_INFO", "").encode("latin-1")
    query = request.environ.get("QUERY_STRING", "")
    tail = f"?{query}" if query else ""
    ways = dict.fromkeys(quote(path, safe=safe) for safe in _WAYS_OF_ESCAPING)
    ways.update(dict.fromkeys(_ESCAPE.sub(lambda found: found.group().lower(), way) for way in list(ways)))
    return [way + tail for way in ways]
