"""The Official Account's calls, with its own appid, secret and token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from server.wechat.calls.client import Calls, Client
from server.wechat.errors import WeChatUnavailableError
from server.wechat.gateway.messages import SentMessage
from server.wechat.gateway.official_account import Follower, FollowerPage
from server.wechat.token_cache import ProcessTokenCache, TokenCache, redis_token_cache

if TYPE_CHECKING:
    from config.settings import Settings


class OfficialAccount(Calls):
    """``OfficialAccountGateway`` over the network.

    Arguments:
        appid: of the account.
        secret: its secret.
        base_url: WeChat's address, or an emulator's.
        tokens: where its access token is kept, apart from the mini-program's.
    """

    def __init__(self, appid: str, secret: str, *, base_url: str, tokens: TokenCache | None = None) -> None:
        super().__init__(Client(appid, secret, base_url, tokens or ProcessTokenCache()))

    def send_template_message(
        self, openid: str, template_id: str, data: dict[str, str], *, client_msg_id: str, program: tuple[str, str] | None = None
    ) -> SentMessage:
        """Send one template message. See the Protocol."""
        body: dict[str, Any] = {
            "touser": openid,
            "template_id": template_id,
            "client_msg_id": client_msg_id,
            "data": {key: {"value": value} for key, value in data.items()},
        }
        if program is not None:
            body["miniprogram"] = {"appid": program[0], "pagepath": program[1]}
        msg_id = self._post("cgi-bin/message/template/send", body).get("msgid")
        return SentMessage(str(msg_id) if msg_id is not None else None)

    def followers(self, next_openid: str = "") -> FollowerPage:
        """Return a page of followers. See the Protocol."""
        answer = self._get("cgi-bin/user/get", {"next_openid": next_openid} if next_openid else {})
        found = (answer.get("data") or {}).get("openid") or []
        # WeChat names the last of a page as the next even when nobody follows after it; an empty page ends it.
        return FollowerPage(tuple(str(openid) for openid in found), str(answer.get("next_openid") or "") if found else "")

    def follower_infos(self, openids: Sequence[str]) -> list[Follower]:
        """Return what WeChat tells about people. See the Protocol."""
        body = {"user_list": [{"openid": openid, "lang": "zh_CN"} for openid in openids]}
        entries = self._post("cgi-bin/user/info/batchget", body).get("user_info_list")
        if not isinstance(entries, list):
            reason = "unreadable"
            raise WeChatUnavailableError(reason)
        return [
            Follower(str(entry["openid"]), bool(entry.get("subscribe")), str(entry["unionid"]) if entry.get("unionid") else None)
            for entry in entries
            if isinstance(entry, dict) and entry.get("openid")
        ]


def official_account_from(settings: Settings) -> OfficialAccount | None:
    """Return the configured Official Account, or None when the brand has none."""
    appid = settings.official_account_appid
    if not appid:
        return None
    tokens = redis_token_cache(settings.redis_url, appid) if settings.redis_url else ProcessTokenCache()
    return OfficialAccount(appid, settings.official_account_secret, base_url=settings.wechat_api_base, tokens=tokens)
