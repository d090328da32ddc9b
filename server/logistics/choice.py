"""Chooses the tracking adapter that the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.logistics.kuaidi100 import Kuaidi100Gateway
from server.logistics.standin import LocalTracking

if TYPE_CHECKING:
    from config.settings import Settings
    from server.logistics.gateway import TrackingGateway


def tracking_gateway(settings: Settings) -> TrackingGateway:
    """Return Kuaidi100 when a key is set, otherwise the local stand-in."""
    if not settings.kuaidi100_key:
        return LocalTracking()
    return Kuaidi100Gateway(
        base_url=settings.kuaidi100_api_base,
        key=settings.kuaidi100_key,
        salt=settings.kuaidi100_salt,
        callback_url=f"{settings.base_url}/callbacks/kuaidi100",
    )
