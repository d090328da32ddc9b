"""WeChat's look at what a member writes, at its submission and before any transaction is open."""

from __future__ import annotations

import structlog

from miniprogram_api import context
from server.members import queries as members
from server.screening.errors import ContentRefusedError
from server.screening.rules import PASSED, Cause, Screened
from server.wechat.errors import WeChatMisconfiguredError, WeChatRejectedError, WeChatUnavailableError
from server.wechat.gateway import ContentScene, Suggestion

_log = structlog.get_logger("screening")


def screen(text: str, scene: ContentScene = ContentScene.COMMENT) -> Screened:
    """Have WeChat look at a member's text.

    Arguments:
        text: what was written.
        scene: where it will be seen.

    Returns:
        What it brought: passed, or why a later call or a person has to look. A complaint is worth more than its check, so nothing is
        refused because WeChat cannot be asked.

    Raises:
        ContentRefusedError: WeChat holds it for unlawful or abusive.
    """
    gateway = context.core().wechat
    with context.core().db.reading() as session:
        openid = members.openid_of(session, context.member_id(), gateway.appid)
    if openid is None:
        return Screened(passed=False, cause=Cause.NO_WECHAT)
    try:
        verdict = gateway.check_text(openid, text, scene)
    except (WeChatUnavailableError, WeChatMisconfiguredError) as error:
        _log.warning("content_check_missed", code=error.code)
        return Screened(passed=False, cause=Cause.UNREACHABLE)
    except WeChatRejectedError as error:
        _log.warning("content_check_missed", code=error.code, errcode=error.errcode)
        return Screened(passed=False, cause=Cause.NOT_CHECKABLE)
    if verdict.suggestion is Suggestion.RISKY:
        raise ContentRefusedError
    if verdict.passed:
        return PASSED
    return Screened(passed=False, cause=Cause.DOUBT, label=verdict.label, trace_id=verdict.trace_id)
