"""The adapter over wechatpy 1.8.18: the only module that imports it.

wechatpy builds the requests and reads the answers; what it does badly is replaced here: its endless retry on a bad
token, its token fetch without lock or timeout, its login that needs a token, and its errors that quote secrets.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import phonenumbers
import requests
import structlog
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException

from server.kernel.errors import DomainError
from server.wechat.errors import (
    LoginCodeInvalidError,
    PhoneCodeInvalidError,
    UserBlockedError,
    WeChatMisconfiguredError,
    WeChatRejectedError,
    WeChatUnavailableError,
)
from server.wechat.gateway import ContentScene, SentMessage, Suggestion, Verdict, WeChatSession
from server.wechat.token_cache import FreshToken, ProcessTokenCache, TokenCache, redis_token_cache

if TYPE_CHECKING:
    from config.settings import Settings

_log = structlog.get_logger("wechat")

CONNECT_SECONDS = 3
READ_SECONDS = 10
_TOKEN_ERRORS = frozenset({40001, 40014, 42001})
_CONFIGURATION_ERRORS = _TOKEN_ERRORS | {40013, 40125, 40164, 41002, 41004, 48001, 48004, 50002}
_QUOTA_ERRORS = frozenset({45009, 45011})
_BUSY = -1
_CODE_ERRORS = frozenset({40029, 40163})
_USER_BLOCKED = 40226
_RISKY_CONTENT = 87014
_FIELD = re.compile(r"data\.([a-z_]+\d*)")
_RID = re.compile(r"rid:\s*([0-9a-zA-Z-]+)")
_HTTP_SERVER_ERROR = 500


class _Client(WeChatClient):  # type: ignore[misc]  # wechatpy ships no types
    """wechatpy's client with our token cache, our limits and our errors."""

    def __init__(self, appid: str, secret: str, base_url: str, tokens: TokenCache) -> None:
        super().__init__(appid, secret, timeout=(CONNECT_SECONDS, READ_SECONDS), auto_retry=False)
        self._base_url = base_url.rstrip("/") + "/"
        self.API_BASE_URL = self._base_url
        self.wxa.API_BASE_URL = self._base_url
        self._tokens = tokens

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
                return super()._request(method, endpoint, params=sent, allow_redirects=False, **kwargs)
            except WeChatClientException as error:
                if token is not None and error.errcode in _TOKEN_ERRORS:
                    self._tokens.drop(token)
                    if not last:
                        continue
                failure = _told(error, endpoint)
            except requests.RequestException as error:
                failure = _unreached(error, endpoint)
            # Raised out here so that the original, whose text holds the secret or the token, is not even its context.
            break
        raise failure


class WeChatPyGateway:
    """``WeChatGateway`` over the network.

    Arguments:
        appid: of the mini-program.
        secret: its secret.
        base_url: WeChat's address, or an emulator's.
        tokens: where the access token is kept.
        program_state: which release of the mini-program a message opens: ``formal``, ``trial`` or ``developer``.
    """

    def __init__(self, appid: str, secret: str, *, base_url: str, tokens: TokenCache | None = None, program_state: str = "formal") -> None:
        self._appid = appid
        self._program_state = program_state
        self._client = _Client(appid, secret, base_url, tokens or ProcessTokenCache())

    @property
    def appid(self) -> str:
        """Return the app these calls are made for."""
        return self._appid

    def code_to_session(self, code: str) -> WeChatSession:
        """Trade a ``wx.login`` code. See the Protocol."""
        params = {
            "appid": self._appid,
            "secret": self._client.secret,
            "js_code": code,
            "grant_type": "authorization_code",
        }
        try:
            answer = self._object(self._client.call("get", "sns/jscode2session", params=params, with_token=False))
        except WeChatRejectedError as error:
            if error.errcode in _CODE_ERRORS:
                raise LoginCodeInvalidError from None
            if error.errcode == _USER_BLOCKED:
                raise UserBlockedError(error.errcode, rid=error.rid) from None
            raise
        if not answer.get("openid"):
            raise WeChatUnavailableError("unreadable")
        return WeChatSession(str(answer["openid"]), str(answer["unionid"]) if answer.get("unionid") else None)

    def phone_number(self, code: str) -> str:
        """Trade a ``getPhoneNumber`` code for the number in E.164. See the Protocol."""
        try:
            answer = self._object(self._client.call("post", "wxa/business/getuserphonenumber", data={"code": code}))
        except WeChatRejectedError as error:
            if error.errcode in _CODE_ERRORS:
                raise PhoneCodeInvalidError from None
            raise
        info = answer.get("phone_info") or {}
        if (info.get("watermark") or {}).get("appid", self._appid) != self._appid:
            raise WeChatMisconfiguredError
        try:
            # The country's code comes as a number or as text.
            number = phonenumbers.parse(f"+{str(info['countryCode']).lstrip('+')}{info['purePhoneNumber']}")
        except (KeyError, phonenumbers.NumberParseException):
            raise WeChatUnavailableError("unreadable") from None
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    def send_subscribe_message(
        self, openid: str, template_id: str, data: dict[str, str], page: str | None = None, *, lang: str = "zh_CN"
    ) -> SentMessage:
        """Send one subscribe message. See the Protocol."""
        body: dict[str, Any] = {
            "touser": openid,
            "template_id": template_id,
            "data": {key: {"value": value} for key, value in data.items()},
            "miniprogram_state": self._program_state,
            "lang": lang,
        }
        if page:
            body["page"] = page
        answer = self._object(self._client.call("post", "cgi-bin/message/subscribe/send", data=body))
        msg_id = answer.get("msgid")
        return SentMessage(str(msg_id) if msg_id is not None else None)

    def check_text(self, openid: str, content: str, scene: ContentScene | int = ContentScene.COMMENT) -> Verdict:
        """Ask whether a text may be shown. See the Protocol."""
        body = {"version": 2, "openid": openid, "scene": int(scene), "content": content}
        try:
            answer = self._object(self._client.call("post", "wxa/msg_sec_check", data=body))
        except WeChatRejectedError as error:
            if error.errcode == _RISKY_CONTENT:
                return Verdict(Suggestion.RISKY, _RISKY_CONTENT)
            raise
        result = answer.get("result") or {}
        try:
            suggestion = Suggestion(str(result.get("suggest")))
        except ValueError:
            # An answer we do not understand must not publish the text.
            suggestion = Suggestion.REVIEW
        trace_id = answer.get("trace_id")
        return Verdict(suggestion, int(result.get("label") or 0), str(trace_id) if trace_id else None)

    def qr_code(self, scene: str, page: str) -> bytes:
        """Return the image of a mini-program code. See the Protocol."""
        body = {"scene": scene, "page": page, "check_path": self._program_state == "formal", "env_version": "release"}
        if self._program_state != "formal":
            body["env_version"] = "trial" if self._program_state == "trial" else "develop"
        answer = self._client.call("post", "wxa/getwxacodeunlimit", data=body)
        # wechatpy hands over whatever is not JSON, an error page of a proxy included.
        if isinstance(answer, requests.Response) and answer.headers.get("Content-Type", "").startswith("image/"):
            return answer.content
        raise WeChatUnavailableError("unreadable")

    @staticmethod
    def _object(answer: Any) -> dict[str, Any]:
        if isinstance(answer, dict):
            return answer
        # 200 and not JSON: a proxy's page. Nobody knows whether the call arrived.
        raise WeChatUnavailableError("unreadable")


def gateway_from(settings: Settings) -> WeChatPyGateway:
    """Return the gateway for the configured app, with the token in Redis where there is one."""
    # urllib3 writes whole addresses, and ours carry the secret and the token.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    tokens = redis_token_cache(settings.redis_url, settings.wechat_appid) if settings.redis_url else ProcessTokenCache()
    return WeChatPyGateway(
        settings.wechat_appid,
        settings.wechat_secret,
        base_url=settings.wechat_api_base,
        tokens=tokens,
        program_state="formal" if settings.production else "developer",
    )


def _told(error: WeChatClientException, endpoint: str) -> DomainError:
    """Return our error for a refusal WeChat put into words."""
    text = str(error.errmsg or "")
    rid = found.group(1) if (found := _RID.search(text)) else None
    if error.errcode is None:
        status = error.response.status_code if error.response is not None else 0
        _log.warning("wechat.http_error", endpoint=endpoint, status=status)
        # A 4xx was turned away at the door; a 5xx may have come after the work was done.
        return WeChatUnavailableError(f"http_{status}", certainly_not_done=0 < status < _HTTP_SERVER_ERROR)
    errcode = int(error.errcode)
    _log.warning("wechat.refused", endpoint=endpoint, errcode=errcode, rid=rid)
    if errcode == _BUSY:
        return WeChatUnavailableError("busy", certainly_not_done=True)
    if errcode in _QUOTA_ERRORS:
        return WeChatUnavailableError("quota", certainly_not_done=True)
    if errcode in _CONFIGURATION_ERRORS:
        return WeChatMisconfiguredError(errcode)
    field = found.group(1) if (found := _FIELD.search(text)) else None
    return WeChatRejectedError(errcode, field=field, rid=rid)


def _unreached(error: requests.RequestException, endpoint: str) -> WeChatUnavailableError:
    """Return our error for a call that got no answer, saying whether it can have arrived."""
    cause: Any = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    never_left = isinstance(reason, (NewConnectionError, NameResolutionError, ConnectTimeoutError)) or isinstance(
        error, requests.ConnectTimeout
    )
    word = "connect" if never_left else "timeout" if isinstance(error, requests.Timeout) else "broken_off"
    _log.warning("wechat.unreached", endpoint=endpoint, reason=word)
    return WeChatUnavailableError(word, certainly_not_done=never_left)
