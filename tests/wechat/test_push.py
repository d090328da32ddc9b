from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from server.wechat import push
from server.wechat.errors import PushRejectedError
from server.wechat.push import PushSecrets

SECRETS = PushSecrets("wxtest", "AAAAA", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")
NOW = datetime.fromtimestamp(1714036504, UTC)
POPUP = {
    "ToUserName": "gh_1",
    "FromUserName": "o1",
    "CreateTime": 1714036504,
    "MsgType": "event",
    "Event": "subscribe_msg_popup_event",
}
ENTRY = {"TemplateId": "t1", "SubscribeStatusString": "accept", "PopupScene": "0"}


def plain(body: bytes, *, at: datetime = NOW) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    return {"timestamp": stamp, "nonce": "n1", "signature": push.signature_of("AAAAA", stamp, "n1")}


def safe(encrypted: str, *, at: datetime = NOW) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    return plain(b"", at=at) | {"encrypt_type": "aes", "msg_signature": push.signature_of("AAAAA", stamp, "n1", encrypted)}


def test_the_published_signature_is_ours() -> None:
    assert push.signature_of("AAAAA", "1714036504", "1514711492") == "f464b24fc39322e44b38aa78f5edd27bd1441696"
    query = {
        "signature": "f464b24fc39322e44b38aa78f5edd27bd1441696",
        "timestamp": "1714036504",
        "nonce": "1514711492",
        "echostr": "4375120948345356249",
    }
    assert push.verify_address(query, SECRETS, NOW) == "4375120948345356249"
    with pytest.raises(PushRejectedError):
        push.verify_address(query | {"nonce": "1514711493"}, SECRETS, NOW)


@pytest.mark.parametrize("entries", [ENTRY, [ENTRY]])
def test_one_entry_or_a_list_of_one_are_read_alike(entries: object) -> None:
    body = json.dumps(POPUP | {"List": entries}).encode()
    event = push.read(plain(body), body, SECRETS, NOW)
    assert (event.event, event.openid, len(event.items)) == ("subscribe_msg_popup_event", "o1", 1)
    assert event.items[0].get("SubscribeStatusString") == "accept"
    assert event.occurred_at == NOW


def test_xml_says_the_same_as_json() -> None:
    body = (
        b"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1714036504</CreateTime>"
        b"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[subscribe_msg_sent_event]]></Event><SubscribeMsgSentEvent>"
        b"<List><TemplateId>t1</TemplateId><MsgID>1700827132819554304</MsgID><ErrorCode>0</ErrorCode></List>"
        b"<List><TemplateId>t2</TemplateId><MsgID>1700827132819554305</MsgID><ErrorCode>0</ErrorCode></List>"
        b"</SubscribeMsgSentEvent></xml>"
    )
    event = push.read(plain(body), body, SECRETS, NOW)
    assert [item.get("MsgID") for item in event.items] == ["1700827132819554304", "1700827132819554305"]


def test_safe_mode_round_trips_and_every_changed_byte_is_refused() -> None:
    message = json.dumps(POPUP | {"List": ENTRY}).encode()
    encrypted = push.encrypt(message, SECRETS)
    body = json.dumps({"ToUserName": "gh_1", "Encrypt": encrypted}).encode()
    assert push.read(safe(encrypted), body, SECRETS, NOW).openid == "o1"
    for place in range(0, len(encrypted), 7):
        changed = encrypted[:place] + ("A" if encrypted[place] != "A" else "B") + encrypted[place + 1 :]
        with pytest.raises(PushRejectedError):
            push.read(safe(encrypted), json.dumps({"Encrypt": changed}).encode(), SECRETS, NOW)


def test_a_known_ciphertext_is_reproduced() -> None:
    encrypted = push.encrypt(b"hello", SECRETS, prefix=b"0123456789abcdef")
    assert push.encrypt(b"hello", SECRETS, prefix=b"0123456789abcdef") == encrypted
    assert push.decrypt(encrypted, SECRETS) == b"hello"


def test_a_push_for_another_app_is_refused() -> None:
    encrypted = push.encrypt(b"{}", PushSecrets("wxother", "AAAAA", SECRETS.aes_key))
    with pytest.raises(PushRejectedError):
        push.read(safe(encrypted), json.dumps({"Encrypt": encrypted}).encode(), SECRETS, NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_captured_push_cannot_be_played_later(seconds: int) -> None:
    body = json.dumps(POPUP | {"List": ENTRY}).encode()
    with pytest.raises(PushRejectedError):
        push.read(plain(body), body, SECRETS, NOW + timedelta(seconds=seconds))


def test_a_repetition_has_the_same_key_and_another_event_has_not() -> None:
    first = json.dumps(POPUP | {"List": ENTRY}).encode()
    other = json.dumps(POPUP | {"List": ENTRY | {"TemplateId": "t2"}}).encode()
    assert push.read(plain(first), first, SECRETS, NOW).key == push.read(plain(first), first, SECRETS, NOW).key
    assert push.read(plain(first), first, SECRETS, NOW).key != push.read(plain(other), other, SECRETS, NOW).key


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<xml>", b"nonsense", b'{"Event":"x"}', b'{"FromUserName":"o","CreateTime":"x"}'])
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(PushRejectedError):
        push.read(plain(body), body, SECRETS, NOW)


def test_the_subject_of_a_withdrawal_is_its_openid_field() -> None:
    body = json.dumps(POPUP | {"Event": "user_authorization_revoke", "OpenID": "o9", "RevokeInfo": "8"}).encode()
    assert push.read(plain(body), body, SECRETS, NOW).openid == "o9"
