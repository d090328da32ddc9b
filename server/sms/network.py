"""One HTTP call to a provider, and what its failure means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
import structlog
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError

from server.sms.errors import SmsUnavailableError

_log = structlog.get_logger("sms")

_TIMEOUT_SECONDS = (3.05, 10)
_SERVER_ERROR = 500
_MOST_BYTES = 64 * 1024


def post(provider: str, address: str, *, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Make the call once and return the answer's JSON object, whatever its status below 500.

    Both providers put their refusals into a JSON body, with 200 as with 4xx.

    Raises:
        SmsUnavailableError: no answer, or none that can be read.
    """
    failure: SmsUnavailableError
    try:
        response = requests.post(address, headers=dict(headers), data=body, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        answer = response.json() if len(response.content) <= _MOST_BYTES else None
        if isinstance(answer, dict) and response.status_code < _SERVER_ERROR:
            return answer
        failure = _unreadable(provider, response.status_code, answer)
    except requests.exceptions.JSONDecodeError:
        # A proxy's page: below 500 it turned the call away at the door, otherwise nobody knows.
        failure = _unreadable(provider, response.status_code, None)
    except requests.RequestException as error:
        failure = _unreached(provider, error)
    # Raised out here so that the original, whose text holds the address, is not even its context.
    raise failure


def _unreadable(provider: str, status: int, answer: object) -> SmsUnavailableError:
    _log.warning("sms.http_error", provider=provider, status=status)
    if isinstance(answer, dict) and "Throttling" in str(answer.get("Code")):
        return SmsUnavailableError("busy", certainly_not_done=True)
    turned_away = requests.codes.bad_request <= status < _SERVER_ERROR
    return SmsUnavailableError(f"http_{status}", certainly_not_done=turned_away)


def _unreached(provider: str, error: requests.RequestException) -> SmsUnavailableError:
    cause: Any = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    never_left = isinstance(reason, (NewConnectionError, NameResolutionError, ConnectTimeoutError)) or isinstance(
        error, requests.ConnectTimeout
    )
    word = "connect" if never_left else "timeout" if isinstance(error, requests.Timeout) else "broken_off"
    _log.warning("sms.unreached", provider=provider, reason=word)
    return SmsUnavailableError(word, certainly_not_done=never_left)
