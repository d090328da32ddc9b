"""Refusals of this domain."""

from __future__ import annotations

from server.kernel.errors import ConflictError, NotFoundError


class DeliveryNotFoundError(NotFoundError):
    """There is no such delivery."""

    code = "delivery_not_found"
    message = "There is no such delivery."


class DeliveryNotStuckError(ConflictError):
    """Only a delivery that has been given up may be sent round again."""

    code = "delivery_not_stuck"
    message = "Only a delivery that has been given up can be tried again."


class IncidentNotFoundError(NotFoundError):
    """There is no such incident."""

    code = "incident_not_found"
    message = "There is no such incident."
