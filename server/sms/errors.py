"""What can go wrong between us and a provider of text messages, said without numbers, texts or secrets."""

from __future__ import annotations

from server.kernel.errors import InvalidError, MalformedError, UnauthenticatedError, UnavailableError


class SmsUnavailableError(UnavailableError):
    """The provider did not answer, or answered that it cannot for the moment.

    Arguments:
        reason: a short word for logs and lists (``timeout``, ``connect``, ``busy``, ``http_502``…).
        certainly_not_done: True when the message cannot have been taken in, so that it may be sent again or by another provider.
    """

    code = "sms_unavailable"
    message = "Text messages cannot be sent for the moment. Please try again later."

    def __init__(self, reason: str = "unknown", *, certainly_not_done: bool = False) -> None:
        super().__init__()
        self.reason = reason
        self.certainly_not_done = certainly_not_done


class SmsRejectedError(InvalidError):
    """The provider refused this message to this person for good; another provider would as well.

    Arguments:
        reason: ours: ``bad_number``, ``blocked``, ``too_often`` or ``content``.
        provider_code: the provider's own word.
    """

    code = "sms_rejected"
    message = "This text message was refused (%(reason)s)."

    def __init__(self, reason: str, *, provider_code: str = "") -> None:
        super().__init__(reason=reason)
        self.reason = reason
        self.provider_code = provider_code


class SmsMisconfiguredError(UnavailableError):
    """Our account, signature or template at this provider is not in order: staff must act. Nothing was sent.

    Arguments:
        provider_code: the provider's own word.
    """

    code = "sms_misconfigured"
    message = "Text messages are not set up correctly."

    def __init__(self, provider_code: str = "") -> None:
        super().__init__()
        self.provider_code = provider_code


class SmsCallbackRefusedError(UnauthenticatedError):
    """The callback does not know the secret of its address."""

    code = "bad_signature"
    message = "The signature does not match."


class SmsCallbackMalformedError(MalformedError):
    """The callback cannot be read."""

    code = "malformed"
    message = "The request cannot be read."
