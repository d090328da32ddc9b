"""The one client below all calls: wechatpy's, with our token cache, our limits and our errors.

wechatpy builds the requests and reads the answers; what it does badly is replaced here: its endless retry on a bad
token, its token fetch without lock or timeout, and its errors that quote secrets.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import requests
import structlog
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException

from server.kernel.errors import DomainError
from server.wechat.calls.transport import Transport
from server.wechat.errors import WeChatMisconfiguredError, WeChatRejectedError, WeChatUnavailableError
from server.wechat.failures import Failure, Observer
from server.wechat.policy import Again, Kind, policy_of
from server.wechat.token_cache import FreshToken, TokenCache

_log = structlog.get_logger("wechat")

CONNECT_SECONDS = 3
READ_SECONDS = 10
_FIELD = re.compile(r"data\.([a-z_]+\d*)")
_RID = re.compile(r"rid:\s*([0-9a-zA-Z-]+)")
_HTTP_SERVER_ERROR = 500
_RID_CHARS = 64


class Client(WeChatClient):  # type: ignore[misc]  # wechatpy ships no types
    """wechatpy's client with our token cache, our limits and our errors."""

    def __init__(self, appid: str, secret: str, base_url: str, tokens: TokenCache, observer: Observer | None = None) -> None:
        # urllib3 writes whole addresses, and ours carry the secret and the token.
        logging.getLogger("urllib3").setLevel(logging.WARNING)
        super().__init__(appid, secret, timeout=(CONNECT_SECONDS, READ_SECONDS), auto_retry=False)
        self._base_url = base_url.rstrip("/") + "/"
        self._http = Transport(self._base_url)
        self.API_BASE_URL = self._base_url
        self.wxa.API_BASE_URL = self._base_url
        self._tokens = tokens
        self._observer = observer

    @property
    def tokens(self) -> TokenCache:
        """Return where the token is kept."""
        return self._tokens

    @property
    def access_token(self) -> str:
        """Return the token of the shared cache."""
        try:
            return self._tokens.get(self.fetch_access_token)
        except WeChatUnavailableError as error:
            # Without a token the call itself never left, whatever happened to the token's.
            reason = error.reason
        raise WeChatUnavailableError(reason, certainly_not_done=True)

    def fetch_access_token(self) -> FreshToken:
        """Ask for the token in the stable mode, never forcing a new one (twenty a day, and it breaks the others')."""
        body = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret, "force_refresh": False}
        answer = self.call("post", "cgi-bin/stable_token", data=body, with_token=False)
        try:
            return FreshToken(str(answer["access_token"]), int(answer["expires_in"]))
        except (TypeError, KeyError, ValueError):
            raise WeChatUnavailableError("unreadable", certainly_not_done=True) from None

    def _request(self, method: str, url_or_endpoint: str, **kwargs: Any) -> Any:
        """Make one call; everything wechatpy offers passes here."""
        return self.call(method, url_or_endpoint, **kwargs)

    def call(self, method: str, endpoint: str, *, with_token: bool = True, **kwargs: Any) -> Any:
        """Make one call, and once more with a fresh token when WeChat did not know the one we had.

        Arguments:
            method: HTTP method.
            endpoint: below the base address.
            with_token: False for login and the token itself.
            kwargs: ``params``, ``data``, ``timeout`` and the like, as wechatpy takes them.

        Returns:
            The decoded JSON object, or the whole response when it is not JSON.

        Raises:
            WeChatUnavailableError, WeChatMisconfiguredError, WeChatRejectedError: without any part of the request.
        """
        params = dict(kwargs.pop("params", {}))
        for last in (False, True):
            token = self.access_token if with_token else None
            # wechatpy adds a token to a dictionary of parameters, and leaves a list alone.
            sent: Any = {**params, "access_token": token} if token else list(params.items())
            failure: DomainError
            try:
                answer = super()._request(method, endpoint, params=sent, allow_redirects=False, **kwargs)
            except WeChatClientException as error:
                if token is not None and error.errcode is not None and policy_of(error.errcode).again is Again.FRESH_TOKEN:
                    self._tokens.drop(token)
                    if not last:
                        continue
                noted, failure = _told(error, endpoint)
            except requests.RequestException as error:
                noted, failure = _unreached(error, endpoint)
            else:
                if self._observer is not None:
                    self._observer.answered(endpoint)
                return answer
            if self._observer is not None:
                self._observer.failed(noted)
            # Raised out here so that the original, whose text holds the secret or the token, is not even its context.
            break
        raise failure


class Calls:
    """What every group of calls stands on; ``WeChatPyGateway`` is made of the groups.

    Arguments:
        client: makes the requests.
        program_state: which release of the mini-program is opened: ``formal``, ``trial`` or ``developer``.
    """

    def __init__(self, client: Client, *, program_state: str = "formal") -> None:
        self._client = client
        self._program_state = program_state

    @property
    def appid(self) -> str:
        """Return the app these calls are made for."""
        return str(self._client.appid)

    @property
    def _release(self) -> str:
        """Return which release a code or link opens, in the words of those calls."""
        return {"formal": "release", "trial": "trial"}.get(self._program_state, "develop")

    def _get(self, endpoint: str, params: dict[str, Any], *, with_token: bool = True) -> dict[str, Any]:
        return as_object(self._client.call("get", endpoint, params=params, with_token=with_token))

    def _post(self, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
        return as_object(self._client.call("post", endpoint, data=body))


def as_object(answer: Any) -> dict[str, Any]:
    """Return an answer that must be a JSON object.

    Raises:
        WeChatUnavailableError: 200 and not JSON: a proxy's page. Nobody knows whether the call arrived.
    """
    if isinstance(answer, dict):
        return answer
    reason = "unreadable"
    raise WeChatUnavailableError(reason)


def _told(error: WeChatClientException, endpoint: str) -> tuple[Failure, DomainError]:
    """Return what happened and our error for a refusal WeChat put into words."""
    text = str(error.errmsg or "")
    rid = found.group(1)[:_RID_CHARS] if (found := _RID.search(text)) else None
    if error.errcode is None:
        status = error.response.status_code if error.response is not None else 0
        _log.warning("wechat.http_error", endpoint=endpoint, status=status)
        # A 4xx was turned away at the door; a 5xx may have come after the work was done.
        reason = f"http_{status}"
        return Failure(endpoint, reason), WeChatUnavailableError(reason, certainly_not_done=0 < status < _HTTP_SERVER_ERROR)
    errcode = int(error.errcode)
    _log.warning("wechat.refused", endpoint=endpoint, errcode=errcode, rid=rid)
    noted, kind = Failure(endpoint, str(errcode), rid), policy_of(errcode).kind
    if kind is Kind.BUSY:
        return noted, WeChatUnavailableError("busy", certainly_not_done=True, rid=rid)
    if kind is Kind.QUOTA:
        return noted, WeChatUnavailableError("quota", certainly_not_done=True, rid=rid)
    if kind in {Kind.TOKEN, Kind.CONNECTION, Kind.GRANT}:
        return noted, WeChatMisconfiguredError(errcode, rid=rid)
    field = found.group(1) if (found := _FIELD.search(text)) else None
    return noted, WeChatRejectedError(errcode, field=field, rid=rid)


def _unreached(error: requests.RequestException, endpoint: str) -> tuple[Failure, WeChatUnavailableError]:
    """Return what happened and our error for a call that got no answer, saying whether it can have arrived."""
    cause: Any = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    never_left = isinstance(reason, (NewConnectionError, NameResolutionError, ConnectTimeoutError)) or isinstance(
        error, requests.ConnectTimeout
    )
    word = "connect" if never_left else "timeout" if isinstance(error, requests.Timeout) else "broken_off"
    _log.warning("wechat.unreached", endpoint=endpoint, reason=word)
    return Failure(endpoint, word), WeChatUnavailableError(word, certainly_not_done=never_left)
