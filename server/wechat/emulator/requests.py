"""What every call of the platform has in common."""

from __future__ import annotations

from typing import Any

from flask import request

from server.wechat.emulator.platform import Platform, PlatformError


def body_of() -> dict[str, Any]:
    """Return the JSON object that was sent; callers send it without a Content-Type, as the platform allows."""
    found = request.get_json(force=True, silent=True)
    if not isinstance(found, dict):
        raise PlatformError(47001, "data format error")
    return found


def body_with_token(platform: Platform) -> dict[str, Any]:
    """Return the JSON object that was sent, once its token was found to be valid."""
    platform.check_token(request.args.get("access_token", ""))
    return body_of()
