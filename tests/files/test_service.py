"""Uploads: owned, capped, signed, cleared away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from server.files import images, queries, rules, service
from server.files.errors import LinkInvalidError, TooManyUploadsError, UploadNotFoundError
from server.files.queries import UploadView
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from tests.conftest import START as NOW
from tests.factories.feedback import Caller, a_caller, a_picture

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from server.bootstrap import Core

KEY = "k" * 40


def store(session: Session, core: Core, owner: UUID | None, purpose: str = "ticket", days: int = 0) -> UploadView:
    return service.store_upload(
        session,
        core.files,
        owner_member_id=owner,
        purpose=purpose,
        data=a_picture(),
        content_type="text/html",
        now=NOW + timedelta(days=days),
    )


def files_in(core: Core) -> list[str]:
    return sorted(path.name for path in core.settings.files_dir.rglob("*") if path.is_file())


@pytest.fixture
def member(core: Core) -> Caller:
    return a_caller(core)


def opened(session: Session, core: Core, address: str, after_seconds: int = 0, key: str = KEY) -> service.OpenedFile:
    parts = urlsplit(address)
    query = parse_qs(parts.query)
    return service.open_signed(
        session,
        core.files,
        UUID(parts.path.removeprefix("/files/")),
        expires=int(query["expires"][0]),
        signature=query["signature"][0],
        secret_key=key,
        now=NOW + timedelta(seconds=after_seconds),
    )


def test_an_upload_is_found_by_its_owner_only(session: Session, core: Core, member: Caller) -> None:
    first, second = store(session, core, member.member_id), store(session, core, member.member_id)
    assert queries.owned(session, member.member_id, [second.id, first.id]) == [second, first]
    assert queries.owned(session, member.member_id, []) == []
    of_staff = store(session, core, None, "reply")
    assert queries.owned(session, None, [of_staff.id]) == [of_staff]
    for owner, upload_id in ((uuid7(), first.id), (None, first.id), (member.member_id, of_staff.id), (member.member_id, uuid7())):
        with pytest.raises(UploadNotFoundError):
            queries.owned(session, owner, [upload_id])


def test_a_signed_address_opens_one_file_for_a_while(session: Session, core: Core, member: Caller) -> None:
    upload = store(session, core, member.member_id)
    address = service.signed_address(upload.id, secret_key=KEY, now=NOW, ttl_seconds=900)
    assert opened(session, core, address, 899).content_type == "image/png"
    for attempt in (
        lambda: opened(session, core, address, 1200),
        lambda: opened(session, core, address, key="x" * 40),
        lambda: opened(session, core, address.replace(str(upload.id), str(uuid7()))),
        lambda: opened(session, core, address.replace("expires=1", "expires=2")),
        lambda: opened(session, core, address[:-1] + "é"),
    ):
        with pytest.raises(LinkInvalidError):
            attempt()


def test_an_address_stays_the_same_for_minutes_so_that_phones_can_cache(core: Core) -> None:
    upload_id = uuid7()
    addresses = {service.signed_address(upload_id, secret_key=KEY, now=NOW + timedelta(seconds=second)) for second in range(1, 250, 10)}
    assert len(addresses) == 1


def test_a_file_that_is_gone_is_not_found(session: Session, core: Core, member: Caller) -> None:
    upload = store(session, core, member.member_id)
    address = service.signed_address(upload.id, secret_key=KEY, now=NOW)
    assert service.forget_member(session, core.files, member.member_id) == 1
    with pytest.raises(UploadNotFoundError):
        opened(session, core, address)
    unknown = service.signed_address(uuid7(), secret_key=KEY, now=NOW)
    with pytest.raises(UploadNotFoundError):
        opened(session, core, unknown)


def test_a_day_has_so_many_uploads_and_no_more(session: Session, core: Core, member: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_PER_DAY", 3)
    for _ in range(3):
        store(session, core, member.member_id)
    with pytest.raises(TooManyUploadsError) as refused:
        store(session, core, member.member_id)
    assert refused.value.retry_after_seconds == 12 * 3600
    assert len(files_in(core)) == 3
    store(session, core, member.member_id, days=1)
    assert queries.count_since(session, member.member_id, NOW) == 4


def test_an_unknown_purpose_is_refused(session: Session, core: Core, member: Caller) -> None:
    with pytest.raises(InvalidError):
        store(session, core, member.member_id, "export")


def test_a_rollback_takes_the_file_along_and_a_commit_keeps_it(core: Core, member: Caller) -> None:
    class BrokenOffError(Exception):
        pass

    def broken_off() -> None:
        with core.db.transaction() as session:
            store(session, core, member.member_id)
            assert len(files_in(core)) == 1
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        broken_off()
    assert files_in(core) == []
    core.db.run(lambda session: store(session, core, member.member_id))
    assert len(files_in(core)) == 1


@pytest.mark.committing
def test_uploads_at_once_never_pass_the_cap(core: Core, member: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_PER_DAY", 5)

    def attempt(_number: int) -> bool:
        try:
            core.db.run(lambda session: store(session, core, member.member_id), attempts=20)
        except TooManyUploadsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(8)))
    assert outcomes.count(True) == 5
    assert len(files_in(core)) == 5


def test_what_nothing_uses_within_a_day_is_removed(session: Session, core: Core, member: Caller) -> None:
    used, unused = store(session, core, member.member_id), store(session, core, member.member_id)
    service.attach(session, [used.id], now=NOW)
    service.attach(session, [], now=NOW)
    assert service.remove_unused(session, core.files, now=NOW + timedelta(hours=24)) == 0
    assert service.remove_unused(session, core.files, now=NOW + timedelta(hours=25)) == 1
    assert service.remove_unused(session, core.files, now=NOW + timedelta(hours=25)) == 0
    assert set(queries.views(session, [used.id, unused.id])) == {used.id}
    assert queries.views(session, []) == {}
    assert len(files_in(core)) == 1


def test_a_merge_gives_the_uploads_to_the_survivor(session: Session, core: Core, member: Caller) -> None:
    survivor = a_caller(core, "openid-two")
    upload = store(session, core, member.member_id)
    store(session, core, survivor.member_id)
    service.merge_members(session, member.member_id, survivor.member_id, now=NOW)
    assert queries.owned(session, survivor.member_id, [upload.id]) == [upload]


def test_content_types_are_told_by_the_first_bytes() -> None:
    assert rules.content_type_of(b"RIFF1234WEBPVP8 ") == "image/webp"
    assert rules.content_type_of(b"RIFF1234WAVE") is None


def test_over_http_a_picture_comes_with_safe_headers_and_only_by_its_address(client: FlaskClient, core: Core, member: Caller) -> None:
    upload = core.db.run(lambda session: store(session, core, member.member_id))
    address = service.signed_address(upload.id, secret_key=core.settings.secret_key, now=core.clock.now())
    shown = client.get(address)
    assert (shown.status_code, shown.content_type) == (200, "image/png")
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert shown.headers["Content-Disposition"].startswith("inline; filename=")
    assert "private" in shown.headers["Cache-Control"]
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    for wrong in (f"/files/{upload.id}", address.replace("signature=", "signature=0"), address.replace("expires=", "expires=x")):
        assert client.get(wrong).status_code == 403
    assert client.get("/files/../../etc/passwd").status_code == 404


def test_over_http_the_cap_and_the_wrong_kinds_have_their_codes(
    client: FlaskClient, member: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    def hand_in(data: bytes, name: str = "photo.jpg") -> tuple[int, str]:
        answer = client.post("/api/v1/uploads", data={"file": (io.BytesIO(data), name)}, headers=member.headers)
        return answer.status_code, answer.json.get("code", "")

    monkeypatch.setattr(service, "MAX_PER_DAY", 1)
    monkeypatch.setattr(images, "MAX_BYTES", 4000)
    assert hand_in(b"<svg/>", "photo.png") == (415, "not_a_picture")
    assert hand_in(b"\xff\xd8\xff broken") == (422, "picture_unreadable")
    assert hand_in(a_picture() + b"\x00" * 4000) == (413, "file_too_large")
    assert hand_in(a_picture(), "../../x.php")[0] == 201
    assert hand_in(a_picture()) == (429, "upload_limit_reached")
