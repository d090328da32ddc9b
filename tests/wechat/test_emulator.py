"""The emulator as whoever plays a person sees it, and the product together with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from werkzeug.serving import make_server

from server.members import service as members
from server.notifications import queries
from server.wechat.emulator import outbound
from server.wechat.emulator.app import create_app
from server.wechat.emulator.approved import TEMPLATES
from server.wechat.emulator.platform import CODE_SECONDS, Platform, PlatformError
from server.wechat.errors import WeChatRejectedError
from server.wechat.push import PushSecrets
from tests.factories.notifications import ANSWERED, all_templates, an_answer
from tests.wechat.conftest import APPID, SECRET, Emulator

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock

TEMPLATE = "demo-tmpl-ticket-answered"
BODY = {
    "touser": "o1",
    "template_id": TEMPLATE,
    "data": {"character_string1": {"value": "T1"}, "thing2": {"value": "好"}, "time3": {"value": "2026年06月15日 12:00"}},
}


def test_codes_work_once_and_for_five_minutes() -> None:
    at = [0.0]
    platform = Platform(APPID, SECRET, seconds=lambda: at[0])
    old, _ = platform.mint_code("o1", None)
    at[0] += CODE_SECONDS + 1
    fresh, _ = platform.mint_code("o1", None)
    with pytest.raises(PlatformError) as refused:
        platform.trade("login", old)
    assert refused.value.errcode == 40029
    assert platform.trade("login", fresh).value == "o1"
    with pytest.raises(PlatformError) as refused:
        platform.trade("login", fresh)
    assert refused.value.errcode == 40163
    with pytest.raises(PlatformError):
        platform.trade("phone", platform.mint_code("o1", None)[0])


def test_a_token_is_the_same_until_its_last_minutes() -> None:
    at = [0.0]
    platform = Platform(APPID, SECRET, seconds=lambda: at[0])
    first = platform.stable_token(APPID, SECRET, force=False)["access_token"]
    at[0] = 6000
    assert platform.stable_token(APPID, SECRET, force=False)["access_token"] == first
    at[0] = 6901
    second = platform.stable_token(APPID, SECRET, force=False)["access_token"]
    assert second != first
    platform.check_token(first)
    forced = platform.stable_token(APPID, SECRET, force=True)["access_token"]
    with pytest.raises(PlatformError):
        platform.check_token(second)
    platform.check_token(forced)
    for appid, secret, errcode in (("wxother", SECRET, 40013), (APPID, "wrong", 40125)):
        with pytest.raises(PlatformError) as refused:
            platform.stable_token(appid, secret, force=False)
        assert refused.value.errcode == errcode


def test_what_was_received_survives_a_restart(tmp_path: Path) -> None:
    platform = Platform(APPID, SECRET, folder=tmp_path)
    platform.popup("o1", TEMPLATE, accept=True)
    platform.popup("o1", TEMPLATE, accept=True)
    platform.send(BODY)
    again = Platform(APPID, SECRET, folder=tmp_path)
    assert [message.title for message in again.messages()] == [TEMPLATES[TEMPLATE]["title"]]
    assert again.grants() == {f"o1|{TEMPLATE}": 1}


def test_only_the_demonstrations_people_begin_with_allowances() -> None:
    platform = Platform(APPID, SECRET, demo_allowances=1)
    platform.send(BODY | {"touser": "demo-openid-001"})
    for openid in ("demo-openid-001", "o1"):
        with pytest.raises(PlatformError) as refused:
            platform.send(BODY | {"touser": openid})
        assert refused.value.errcode == 43101


@pytest.mark.parametrize(
    ("change", "errcode"),
    [({"touser": ""}, 40003), ({"template_id": "x"}, 40037), ({"data": {}}, 47003), ({"page": "/pages/x"}, 41030)],
)
def test_a_wrong_message_is_refused_and_spends_nothing(change: dict, errcode: int) -> None:
    platform = Platform(APPID, SECRET)
    platform.popup("o1", TEMPLATE, accept=True)
    with pytest.raises(PlatformError) as refused:
        platform.send(BODY | change)
    assert refused.value.errcode == errcode
    assert platform.grants() == {f"o1|{TEMPLATE}": 1}


def test_the_page_shows_what_was_received_and_never_as_markup(emulator: Emulator) -> None:
    emulator.platform.popup("o1", TEMPLATE, accept=True)
    emulator.platform.send(BODY | {"data": BODY["data"] | {"thing2": {"value": "<script>x"}}})
    page = requests.get(emulator.base_url, timeout=5).text
    assert "客服回复通知" in page
    assert "&lt;script&gt;x" in page
    assert requests.get(f"{emulator.base_url}_emulator/messages?openid=o1", timeout=5).json()["items"][0]["openid"] == "o1"


def test_a_person_is_played_over_http(emulator: Emulator) -> None:
    base = f"{emulator.base_url}_emulator/"
    minted = requests.post(f"{base}codes", json={"openid": "o7", "unionid": "u7"}, timeout=5).json()
    assert minted["openid"] == "o7"
    session = emulator.gateway().code_to_session(minted["code"])
    assert (session.openid, session.unionid) == ("o7", "u7")
    assert requests.post(f"{base}codes", timeout=5).json()["openid"]
    code = requests.post(f"{base}phone-codes", json={"phone": "13900139000"}, timeout=5).json()["code"]
    assert emulator.gateway().phone_number(code) == "+8613900139000"
    requests.post(f"{base}faults", json={"path": "/wxa", "errcode": -1, "times": 5}, timeout=5)
    assert requests.delete(f"{base}faults", timeout=5).json() == {"set": False}
    assert emulator.gateway().check_text("o1", "你好").passed
    requests.post(f"{base}tokens/revocation", json={"expire": True}, timeout=5)
    assert requests.post(f"{base}popups", json={"openid": "o1", "template_id": TEMPLATE}, timeout=5).json() == {
        "granted": True,
        "pushed": False,
    }
    assert requests.get(f"{base}state", timeout=5).json()["grants"] == {f"o1|{TEMPLATE}": 1}


@pytest.fixture
def together(core: Core, clock: MovableClock) -> Iterator[tuple[Core, str]]:
    """Give a product that listens, and an emulator that pushes to it; the product's gateway talks to the emulator."""
    from server.wechat.wechatpy_gateway import WeChatPyGateway
    from wsgi import create_app as create_product

    settings = core.settings
    servers = []

    def serve(app) -> str:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    # The push window is real time: the product's clock must tell it.
    clock.set(datetime.now(UTC))
    product = serve(create_product(core=core))
    secrets = PushSecrets(settings.wechat_appid, settings.wechat_push_token, settings.wechat_push_aes_key)
    platform = Platform(settings.wechat_appid, settings.wechat_secret)
    address = serve(create_app(platform, outbound.PushTarget(f"{product}callbacks/wechat/mini-program", secrets)))
    object.__setattr__(core, "wechat", WeChatPyGateway(settings.wechat_appid, settings.wechat_secret, base_url=address))
    yield core, address
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.committing
@pytest.mark.requirement("NTF2")
def test_a_tap_on_the_phone_lets_one_message_through_and_wechat_confirms_it(together: tuple[Core, str]) -> None:
    from tasks.jobs import notifications as job

    core, address = together
    now = core.clock.now()

    def enrol(session):
        all_templates(session, now=now)
        return members.login_with_wechat(session, appid=core.settings.wechat_appid, openid="o1", unionid=None, now=now).member_id

    member_id = core.db.run(enrol)
    tapped = requests.post(f"{address}_emulator/popups", json={"openid": "o1", "template_id": TEMPLATE, "accept": True}, timeout=10).json()
    assert tapped == {"granted": True, "pushed": True}
    with core.db.reading() as session:
        assert queries.grants_of(session, member_id) == {ANSWERED: 1}
    ids = core.db.run(lambda s: [an_answer(s, member_id, key=f"answer:{n}", now=now) for n in range(2)])
    assert job.deliver_batch(core, ids) == 1
    deadline = time.monotonic() + 10
    states: list[str] = []
    while time.monotonic() < deadline and "delivered" not in states:
        job.sweep(core)
        with core.db.reading() as session:
            states = sorted(found.state for one in ids if (found := queries.find(session, one)))
        time.sleep(0.05)
    assert states == ["delivered", "skipped"]
    assert len(requests.get(f"{address}_emulator/messages", timeout=5).json()["items"]) == 1


def test_a_picture_is_taken_in_under_a_number_and_answered_by_a_push(emulator: Emulator) -> None:
    assert emulator.gateway().check_image("o1", "https://shop.example/files/x").startswith("em-")
    with pytest.raises(WeChatRejectedError):
        emulator.gateway().check_image("o1", "ftp://shop.example/x")
    requests.post(f"{emulator.base_url}_emulator/media-answers", json={"suggest": "risky"}, timeout=5)
    assert [emulator.platform.judge_media(), emulator.platform.judge_media()] == ["risky", "pass"]
    target = outbound.PushTarget("http://127.0.0.1:1/", PushSecrets("wxtest", "t", ""))
    event = outbound.media_event(target, "o1", "em-1", "risky")
    assert (event["Event"], event["trace_id"], event["result"]) == ("wxa_media_check", "em-1", {"suggest": "risky", "label": 20002})
    assert outbound.media_event(target, "o1", "em-1", None)["result"]["suggest"] == "review"
