"""Members and partners for tests."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.cards import service as cards
from server.kernel.actors import MemberActor, SystemActor
from server.members import service as members
from server.partners import service as partners

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

APPID = "wxdemo0000000000"
SYSTEM = SystemActor("tests")
PHONES = tuple(f"+86138001380{tail:02d}" for tail in range(100))


def a_member(session: Session, *, now: datetime, openid: str | None = None, phone: str | None = None) -> UUID:
    """Enrol a member through WeChat, with a card, and a phone number when one is given."""
    login = members.login_with_wechat(session, appid=APPID, openid=openid or f"o-{secrets.token_hex(8)}", unionid=None, now=now)
    cards.issue(session, login.member_id, now=now)
    if phone:
        members.bind_phone(session, login.member_id, phone, actor=MemberActor(login.member_id), now=now)
    return login.member_id


def an_unclaimed_member(session: Session, *, now: datetime, phone: str | None = None, pos_id: str | None = None) -> UUID:
    """Enrol a member whom only the till knows."""
    return members.enrol_unclaimed(session, phone=phone, external_ids={"pos": pos_id} if pos_id else None, actor=SYSTEM, now=now)


def a_partner(session: Session, *, now: datetime, scopes: tuple[str, ...] = ("members:read",), name: str = "till") -> partners.NewKey:
    """Create a partner with one key."""
    return partners.create(session, name, scopes, actor=SYSTEM, now=now)


def signed_call(
    client: FlaskClient,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    key: partners.NewKey,
    now: datetime,
    nonce: str | None = None,
    timestamp: str | None = None,
    signed_path: str | None = None,
    headers: dict[str, str] | None = None,
) -> TestResponse:
    """Make a partner call, signed as the contract says."""
    raw = b"" if body is None else json.dumps(body).encode()
    stamp = timestamp or str(int(now.timestamp()))
    nonce = nonce or secrets.token_hex(16)
    text = "\n".join([method, signed_path or path, stamp, nonce, hashlib.sha256(raw).hexdigest()])
    signature = hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return client.open(
        path,
        method=method,
        data=raw,
        content_type="application/json",
        headers={
            "X-Huiban-Key": key.key_id,
            "X-Huiban-Timestamp": stamp,
            "X-Huiban-Nonce": nonce,
            "X-Huiban-Signature": signature,
            **(headers or {}),
        },
    )
