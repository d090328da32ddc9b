"""Who somebody is: log-in and phone codes."""

from __future__ import annotations

import phonenumbers

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

_CODE_ERRORS = frozenset({40029, 40163})
_USER_BLOCKED = 40226


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
        return WeChatSession(str(answer["openid"]), str(answer["unionid"]) if answer.get("unionid") else None)

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
            # The country's code comes as a number or as text.
            number = phonenumbers.parse(f"+{str(info['countryCode']).lstrip('+')}{info['purePhoneNumber']}")
        except (KeyError, phonenumbers.NumberParseException):
            raise WeChatUnavailableError("unreadable") from None
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
