"""WeChat's and Tencent's published examples, as they stand in their documentation and demonstration code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.wechat import open_data, push
from server.wechat.errors import OpenDataInvalidError, PushRejectedError
from server.wechat.push import PushSecrets

# WXBizMsgCrypt, the sample of WeChat's own encryption libraries ("Sample.py" and its siblings in other languages): a message pushed
# in safe mode on 3 September 2014.
SAMPLE = PushSecrets("wx2c2769f8efd9abc2", "spamtest", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")
SAMPLE_AT = datetime.fromtimestamp(1409735669, UTC)
SAMPLE_QUERY = {
    "timestamp": "1409735669",
    "nonce": "1320562132",
    "encrypt_type": "aes",
    "msg_signature": "5d197aaffba7e9b25a30732f161a50dee96bd5fa",
}
SAMPLE_ENCRYPTED = (
    "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHFVAFmOD2LdJF9FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328"
    "HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVticbSnyU8dKOIbgU6ux5VTjg3yt+WGzjlpKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpA"
    "e+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v6h0EIBYYI1BD1DlD+C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCumEPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE="
)

# WXBizDataCrypt, the sample of the mini-program documentation ("demo.py" and its siblings): open data of a person.
DEMO_APPID = "wx4f4bc4dec97d474b"
DEMO_KEY = "tiihtNczf5v6AKRyjwEUhQ=="
DEMO_IV = "r7BXXKkLb8qrSNn05n0qiA=="
DEMO_ENCRYPTED = (
    "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB"
    "231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs"
    "8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7Xjf"
    "hQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew=="
)
DEMO_AT = datetime.fromtimestamp(1477314187, UTC)


def test_the_sample_push_of_wechats_own_library_is_read() -> None:
    body = f"<xml><ToUserName><![CDATA[gh_10f6c3c3ac5a]]></ToUserName><Encrypt><![CDATA[{SAMPLE_ENCRYPTED}]]></Encrypt></xml>".encode()
    event = push.read(SAMPLE_QUERY, body, SAMPLE, SAMPLE_AT)
    assert (event.kind, event.openid) == ("text", "oyORnuP8q7ou2gfYjqLzSIWZf0rs")
    assert (event.content["Content"], event.content["MsgId"]) == ("abcdteT", "6054768590064713728")
    assert event.occurred_at == datetime.fromtimestamp(1409735668, UTC)
    with pytest.raises(PushRejectedError):
        push.read(SAMPLE_QUERY, body, SAMPLE, SAMPLE_AT + timedelta(seconds=301))
    with pytest.raises(PushRejectedError):
        push.read(SAMPLE_QUERY | {"nonce": "1320562133"}, body, SAMPLE, SAMPLE_AT)


def test_what_we_encrypt_is_what_the_sample_encrypts() -> None:
    plain = push.decrypt(SAMPLE_ENCRYPTED, SAMPLE)
    again = push.encrypt(plain, SAMPLE)
    assert len(again) == len(SAMPLE_ENCRYPTED)
    assert push.decrypt(again, SAMPLE) == plain


@pytest.mark.requirement("MEM2")
def test_the_sample_of_open_data_is_read() -> None:
    data = open_data.decrypt(DEMO_ENCRYPTED, DEMO_IV, DEMO_KEY, appid=DEMO_APPID, now=DEMO_AT)
    assert (data["openId"], data["nickName"]) == ("oGZUI0egBJY1zhBYw2KhdUfwVJJE", "Band")
    assert data["watermark"] == {"timestamp": 1477314187, "appid": DEMO_APPID}


@pytest.mark.parametrize(
    "change",
    [
        {"appid": "wxother"},
        {"now": DEMO_AT + timedelta(seconds=301)},
        {"now": DEMO_AT - timedelta(seconds=301)},
        {"session_key": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"session_key": "AAAA"},
        {"iv": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"iv": "é"},
        {"encrypted": DEMO_ENCRYPTED[:-4]},
        {"encrypted": "*"},
        {"encrypted": ""},
        {"encrypted": DEMO_ENCRYPTED * 20},
    ],
)
def test_open_data_that_is_anything_else_is_refused(change: dict) -> None:
    given = {"encrypted": DEMO_ENCRYPTED, "iv": DEMO_IV, "session_key": DEMO_KEY, "appid": DEMO_APPID, "now": DEMO_AT}
    with pytest.raises(OpenDataInvalidError):
        open_data.decrypt(**(given | change))


@pytest.mark.parametrize(
    "data", [{}, {"watermark": 1}, {"watermark": {"appid": DEMO_APPID}}, {"watermark": {"appid": DEMO_APPID, "timestamp": "x"}}, []]
)
def test_open_data_without_its_watermark_is_refused(data: object) -> None:
    encrypted, iv = open_data.encrypt(data, DEMO_KEY)  # type: ignore[arg-type]
    with pytest.raises(OpenDataInvalidError):
        open_data.decrypt(encrypted, iv, DEMO_KEY, appid=DEMO_APPID, now=DEMO_AT)
