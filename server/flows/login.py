"""Logging in: the member, and the card that every member has, in one transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from server.cards import service as cards
from server.flows import referral
from server.members import service as members
from server.risk import service as risk
from server.wechat import session_keys


def log_in(
    session: Session,
    *,
    appid: str,
    openid: str,
    unionid: str | None,
    client: str | None,
    address: str | None,
    invite_code: str | None,
    policy_version: str | None,
    device: str | None = None,
    session_key: str | None = None,
    now: datetime,
) -> members.Login:
    """Log a WeChat user in and see that they hold a card.

    Arguments:
        session: of an open transaction.
        appid: the app the code was made for.
        openid: who WeChat says it is.
        unionid: the same person across the brand's apps, when WeChat tells.
        client: what the device calls itself.
        address: network address of the request.
        invite_code: what a new member was invited with.
        policy_version: the membership terms agreed to on the log-in page.
        device: what the client calls the device, if it tells; kept as a blind index.
        session_key: WeChat's, for what an older mini-program passes on encrypted; kept sealed for a day.
        now: present instant.
    """
    login = members.login_with_wechat(
        session,
        appid=appid,
        openid=openid,
        unionid=unionid,
        client=client,
        address=address,
        invite_code=invite_code,
        policy_version=policy_version,
        now=now,
    )
    if session_key:
        session_keys.keep(session, openid, session_key, now=now)
    cards.issue(session, login.member_id, now=now)
    if device:
        risk.note_device(session, login.member_id, device, now=now)
    referral.welcome(session, login.member_id, is_new=login.is_new, invite_code=invite_code, device=device, now=now)
    return login
