"""What can go wrong between us and WeChat, said in our own words and without secrets."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, UnauthenticatedError, UnavailableError


class WeChatUnavailableError(UnavailableError):
    """WeChat did not answer, or answered that it is busy.

    Arguments:
        reason: a short word for logs (``timeout``, ``connect``, ``busy``, ``http_502``, ``quota``…); never a URL.
        certainly_not_done: True when WeChat cannot have carried the call out (it never arrived, or was refused as busy),
            so that it may be made again; False when nobody can tell.
        rid: WeChat's own number of the request, where it gave one.
    """

    code = "wechat_unavailable"
    message = "WeChat does not answer for the moment. Please try again later."

    def __init__(self, reason: str = "unknown", *, certainly_not_done: bool = False, rid: str | None = None) -> None:
        super().__init__()
        self.reason = reason
        self.rid = rid
        self.certainly_not_done = certainly_not_done


class WeChatRejectedError(InvalidError):
    """WeChat refused the call for good: asking again in the same words gives the same answer.

    Arguments:
        errcode: WeChat's number.
        field: which template field it named, when it named one.
        rid: WeChat's own number of the request, for its support.
    """

    code = "wechat_rejected"
    message = "WeChat refused this request (%(errcode)s)."

    def __init__(self, errcode: int = 0, *, field: str | None = None, rid: str | None = None) -> None:
        super().__init__(errcode=errcode)
        self.errcode = errcode
        self.field = field
        self.rid = rid


class WeChatMisconfiguredError(UnavailableError):
    """Our own credentials or rights are wrong (app id, secret, caller address, an API not granted): staff must act.

    Arguments:
        errcode: WeChat's number.
        rid: WeChat's own number of the request, where it gave one.
    """

    code = "wechat_misconfigured"
    message = "The connection to WeChat is not set up correctly. Please contact customer service."

    def __init__(self, errcode: int = 0, *, rid: str | None = None) -> None:
        super().__init__()
        self.errcode = errcode
        self.rid = rid


class LoginCodeInvalidError(UnauthenticatedError):
    """A login or phone code is unknown, too old or was used before; codes live five minutes and work once."""

    code = "wechat_code_invalid"
    message = "This WeChat log-in code is no longer valid. Please call wx.login again."


class PhoneCodeInvalidError(ConflictError):
    """A phone code is unknown, too old or was used before."""

    code = "wechat_phone_code_invalid"
    message = "This phone number code is no longer valid. Please tap the button again."


class OpenDataInvalidError(InvalidError):
    """Data that the client passed on encrypted does not open, is old, or is another app's; ``wx.login`` again gives a fresh key."""

    code = "wechat_data_invalid"
    message = "This data from WeChat cannot be read. Please log in again and tap the button again."


class UserBlockedError(WeChatRejectedError):
    """WeChat holds this user for high-risk and does not let them log in (40226)."""

    code = "wechat_user_blocked"
    message = "WeChat does not let this account log in."


class PushRejectedError(UnauthenticatedError):
    """A server push whose signature, time, app or form is wrong."""

    code = "bad_signature"
    message = "The signature is not valid."


WeChatUnavailable = WeChatUnavailableError
WeChatRejected = WeChatRejectedError
WeChatMisconfigured = WeChatMisconfiguredError
