"""Who somebody is: log-in, session keys and phone codes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

from server.wechat.calls.client import Calls
from server.wechat.errors import (
    LoginCodeInvalidError,
    PhoneCodeInvalidError,
    UserBlockedError,
    WeChatMisconfiguredError,
    WeChatRejectedError,
    WeChatUnavailableError,
)
from server.wechat.gateway.login import WeChatSession
from server.wechat.phone_info import number_of

_CODE_ERRORS = frozenset({40029, 40163})
_USER_BLOCKED = 40226
_SESSION_KEY_INVALID = 87009


class LoginCalls(Calls):
    """``LoginGateway`` over the network."""

    def code_to_session(self, code: str) -> WeChatSession:
        """Trade a ``wx.login`` code. See the Protocol."""
        params = {
            "appid": self.appid,
            "secret": self._client.secret,
            "js_code": code,
            "grant_type": "authorization_code",
        }
        try:
            answer = self._get("sns/jscode2session", params, with_token=False)
        except WeChatRejectedError as error:
            if error.errcode in _CODE_ERRORS:
                raise LoginCodeInvalidError from None
            if error.errcode == _USER_BLOCKED:
                raise UserBlockedError(error.errcode, rid=error.rid) from None
            raise
        if not answer.get("openid"):
            raise WeChatUnavailableError("unreadable")
        return WeChatSession(str(answer["openid"]), _text_or_none(answer, "unionid"), _text_or_none(answer, "session_key"))

    def check_session(self, openid: str, session_key: str) -> bool:
        """Ask whether a session key is still valid. See the Protocol."""
        try:
            self._get("wxa/checksession", _proof(openid, session_key))
        except WeChatRejectedError as error:
            if error.errcode == _SESSION_KEY_INVALID:
                return False
            raise
        return True

    def reset_session_key(self, openid: str, session_key: str) -> WeChatSession:
        """Have WeChat replace a session key. See the Protocol."""
        try:
            answer = self._get("wxa/resetusersessionkey", _proof(openid, session_key))
        except WeChatRejectedError as error:
            if error.errcode == _SESSION_KEY_INVALID:
                raise LoginCodeInvalidError from None
            raise
        fresh = _text_or_none(answer, "session_key")
        if answer.get("openid") != openid or fresh is None:
            reason = "unreadable"
            raise WeChatUnavailableError(reason)
        return WeChatSession(openid, session_key=fresh)

    def phone_number(self, code: str) -> str:
        """Trade a ``getPhoneNumber`` code for the number in E.164. See the Protocol."""
        try:
            answer = self._post("wxa/business/getuserphonenumber", {"code": code})
        except WeChatRejectedError as error:
            if error.errcode in _CODE_ERRORS:
                raise PhoneCodeInvalidError from None
            raise
        info = answer.get("phone_info") or {}
        if (info.get("watermark") or {}).get("appid", self.appid) != self.appid:
            raise WeChatMisconfiguredError
        try:
            return number_of(info)
        except ValueError:
            reason = "unreadable"
            raise WeChatUnavailableError(reason) from None


def _proof(openid: str, session_key: str) -> dict[str, str]:
    """Return the parameters that show we know a session key without sending it: HMAC-SHA256 of nothing under it."""
    try:
        key = base64.b64decode(session_key, validate=True)
    except (ValueError, binascii.Error):
        raise LoginCodeInvalidError from None
    return {"openid": openid, "signature": hmac.new(key, b"", hashlib.sha256).hexdigest(), "sig_method": "hmac_sha256"}


def _text_or_none(answer: dict[str, Any], name: str) -> str | None:
    return str(answer[name]) if answer.get(name) else None
