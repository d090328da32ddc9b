"""Log-in through WeChat, fresh tokens, and the list of log-ins."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, g, request
from pydantic import Field, ValidationError

from miniprogram_api.auth import even_when, member_required, public
from miniprogram_api.context import core, member_id, now
from miniprogram_api.idempotent import json_response
from miniprogram_api.openapi import documented
from miniprogram_api.schemas import Input, Output
from server.flows.login import log_in
from server.kernel.errors import InvalidError, NotFoundError
from server.members import service, session_queries
from server.members.errors import RefreshTokenInvalidError, UnknownAppError

_DEVICE_CHARS = (8, 128)

bp = APIBlueprint("v1_auth", __name__, url_prefix="/api/v1/auth", tag="Log-in")


class WeChatLoginIn(Input):
    """What ``wx.login`` gave, and what a new member brings along."""

    code: str = Field(min_length=1, max_length=256, description="from wx.login; works once")
    appid: str | None = Field(default=None, max_length=64)
    invite_code: str | None = Field(default=None, max_length=40)
    policy_version: str | None = Field(default=None, min_length=1, max_length=32)


class LoggedInMember(Output):
    """Who logged in."""

    id: UUID
    is_new: bool
    phone_bound: bool


class TokensOut(Output):
    """A pair of tokens."""

    access_token: str
    expires_in: int = Field(description="seconds")
    refresh_token: str


class LoginOut(TokensOut):
    """A log-in."""

    member: LoggedInMember


class RefreshIn(Input):
    """The refresh token; each works once."""

    refresh_token: str = Field(min_length=1, max_length=128)


class LogoutIn(Input):
    """Whether every log-in of the member ends."""

    all: bool = False


class LogoutOut(Output):
    """How many log-ins ended."""

    ended: int


class SessionOut(Output):
    """One log-in."""

    id: UUID
    client: str | None
    network: str | None
    created_at: datetime
    last_seen_at: datetime
    current: bool


class SessionsOut(Output):
    """The live log-ins."""

    items: list[SessionOut]
    next_cursor: str | None = None


@bp.post("/wechat")
@public
@bp.input(WeChatLoginIn, arg_name="body")
@bp.output(LoginOut)
def wechat(body: WeChatLoginIn) -> Response:
    """Log in with a wx.login code; a code that was used before asks for wx.login again.

    ``invite_code`` binds a membership that begins with this call to who invited it, and is passed over otherwise. ``X-Device-Id`` (8–128
    characters, the same at every start of the mini-program) tells devices apart; only a keyed hash is kept.
    """
    shared = core()
    appid = body.appid or shared.settings.wechat_appid
    if appid != shared.settings.wechat_appid:
        raise UnknownAppError(fields={"appid": "unknown"})
    # WeChat is asked before the transaction opens: no lock is held while the network takes its time.
    who = shared.wechat.code_to_session(body.code)
    login = shared.db.run(
        lambda session: log_in(
            session,
            appid=appid,
            openid=who.openid,
            unionid=who.unionid,
            client=request.user_agent.string or None,
            address=request.remote_addr,
            invite_code=body.invite_code,
            policy_version=body.policy_version,
            device=_device(),
            session_key=who.session_key,
            now=now(),
        )
    )
    member = LoggedInMember(id=login.member_id, is_new=login.is_new, phone_bound=login.phone_bound)
    return json_response(
        LoginOut(
            access_token=login.access_token,
            expires_in=login.expires_in_seconds,
            refresh_token=login.refresh_token,
            member=member,
        )
    )


def _device() -> str | None:
    """Return what the client calls the device; what can be none is passed over, since it never stands in the way of a log-in."""
    told = request.headers.get("X-Device-Id", "").strip()
    return told if _DEVICE_CHARS[0] <= len(told) <= _DEVICE_CHARS[1] and told.isprintable() else None


@bp.post("/refresh")
@public
@bp.input(RefreshIn, arg_name="body")
@bp.output(TokensOut)
def refresh(body: RefreshIn) -> Response:
    """Exchange a refresh token; one that was used before ends its whole log-in."""
    tokens = core().db.run(lambda session: service.refresh(session, body.refresh_token, now=now()))
    if tokens is None:
        # Committed first: the family is dead now.
        raise RefreshTokenInvalidError
    return json_response(
        TokensOut(access_token=tokens.access_token, expires_in=tokens.expires_in_seconds, refresh_token=tokens.refresh_token)
    )


@bp.post("/logout")
@member_required
@even_when("frozen", "deleting")
@bp.output(LogoutOut)
@documented(takes={"application/json": LogoutIn}, body_required=False)
def logout() -> Response:
    """End this log-in, or all of them with ``{"all": true}``. The body may be left out."""
    given = _logout_body()
    session_id = None if given.all else g.member.session_id
    ended = core().db.run(lambda session: service.log_out(session, member_id(), session_id=session_id, now=now()))
    return json_response(LogoutOut(ended=ended))


def _logout_body() -> LogoutIn:
    if not request.get_data(cache=True):
        return LogoutIn()
    try:
        return LogoutIn.model_validate_json(request.get_data(cache=True))
    except ValidationError as error:
        raise InvalidError(fields={"all": "true, false"}) from error


@bp.get("/sessions")
@member_required
@bp.output(SessionsOut)
def sessions() -> Response:
    """List the live log-ins."""
    with core().db.reading() as session:
        found = session_queries.sessions_of(session, member_id(), now())
    items = [
        SessionOut(
            id=view.id,
            client=view.client,
            network=view.network,
            created_at=view.created_at,
            last_seen_at=view.last_seen_at,
            current=view.id == g.member.session_id,
        )
        for view in found
    ]
    return json_response(SessionsOut(items=items))


@bp.delete("/sessions/<uuid:session_id>")
@member_required
@even_when("frozen", "deleting")
@bp.output({}, status_code=204)
def end_session(session_id: UUID) -> Response:
    """End one log-in, on another phone for instance."""
    if not core().db.run(lambda session: service.log_out(session, member_id(), session_id=session_id, now=now())):
        raise NotFoundError
    return Response(status=204)
