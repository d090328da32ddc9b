"""What logistics refuse."""

from __future__ import annotations

from server.kernel.errors import ConflictError, MalformedError, UnauthenticatedError, UnavailableError


class CallbackSignatureError(UnauthenticatedError):
    """The callback's signature is not its sender's."""

    code = "bad_signature"
    message = "The signature does not match."


class CallbackMalformedError(MalformedError):
    """The callback cannot be read."""

    code = "malformed"
    message = "The request cannot be read."


class TrackingUnavailableError(UnavailableError):
    """The aggregator does not answer."""

    code = "tracking_unavailable"
    message = "The carrier service does not answer. Please try again later."


class TrackingRefusedError(ConflictError):
    """The aggregator refused the subscription."""

    code = "tracking_refused"
    message = "The carrier service refused this tracking number (%(reason)s)."
