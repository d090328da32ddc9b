"""What partners may be refused."""

from __future__ import annotations

from server.kernel.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, UnauthenticatedError


class UnknownKeyError(UnauthenticatedError):
    """No live key has this id."""

    code = "unknown_key"
    message = "This key is not known or has been revoked."


class BadSignatureError(UnauthenticatedError):
    """The signature is missing or does not match."""

    code = "bad_signature"
    message = "The signature does not match the request."


class StaleTimestampError(UnauthenticatedError):
    """The timestamp is more than five minutes away from our clock."""

    code = "stale_timestamp"
    message = "The timestamp is more than 300 seconds away from the server's clock."


class NonceReusedError(UnauthenticatedError):
    """The nonce was sent before."""

    code = "nonce_reused"
    message = "This nonce was used before."


class ScopeMissingError(ForbiddenError):
    """The partner may not do this."""

    code = "scope_missing"
    message = "This key lacks the scope %(scope)s."


class PartnerNotFoundError(NotFoundError):
    """There is no such partner or key."""

    code = "partner_not_found"
    message = "There is no such partner."


class TooManyKeysError(ConflictError):
    """Two keys are live already."""

    code = "too_many_keys"
    message = "This partner has two live keys already. Revoke one first."


class PartnerNameTakenError(ConflictError):
    """Another partner has this name."""

    code = "partner_name_taken"
    message = "Another partner has this name."


class ScopeUnknownError(InvalidError):
    """A scope that does not exist, or none at all."""

    code = "scope_unknown"
    message = "Please choose at least one of the known scopes."
