"""Pictures: what is taken in, what is refused, and what is left of it."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from server.files.errors import BrokenPictureError, FileTooLargeError, NotAPictureError, TooManyPixelsError
from server.files.images import rewrite
from server.files.rules import MAX_BYTES, Purpose, content_type_of
from tests.factories.feedback import a_picture


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def a_png_that_claims(width: int, height: int, data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "content_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_a_whole_picture_is_written_anew_in_its_own_format(kind: str, content_type: str) -> None:
    picture = rewrite(a_picture(kind), Purpose.TICKET)
    assert (picture.content_type, picture.width, picture.height) == (content_type, 40, 30)
    assert content_type_of(picture.data) == content_type


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16"])
def test_every_mode_of_a_png_is_taken(mode: str) -> None:
    assert rewrite(a_picture("PNG", mode=mode) if mode != "I;16" else _sixteen_bit(), Purpose.TICKET).content_type == "image/png"


def _sixteen_bit() -> bytes:
    out = io.BytesIO()
    Image.new("I;16", (4, 4), 1000).save(out, "PNG")
    return out.getvalue()


def test_exif_position_and_comments_are_gone_and_the_picture_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010E] = "secret place"
    exif.get_ifd(0x8825)[1] = "N"
    data = a_picture("JPEG", exif=exif, comment=b"secret comment")
    assert b"secret" in data
    picture = rewrite(data, Purpose.TICKET)
    assert (picture.width, picture.height) == (30, 40)
    assert b"secret" not in picture.data
    assert b"Exif" not in picture.data
    assert not Image.open(io.BytesIO(picture.data)).getexif()


def test_text_and_a_second_file_behind_a_picture_do_not_survive() -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        polyglot = a_picture(kind) + b"<script>alert(1)</script>PK\x03\x04"
        assert b"<script>" not in rewrite(polyglot, Purpose.TICKET).data
    noted = a_png_that_claims(1, 1, b"\x00\xff\x00\x00").replace(b"IEND", b"IEND") + b"tail"
    assert b"tail" not in rewrite(noted, Purpose.TICKET).data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"GIF89a" + b"\x00" * 40,
        b"%PDF-1.7",
        b"MZ\x90\x00",
        b"<html><img src=x onerror=alert(1)>",
        b"BM" + b"\x00" * 60,
        b"RIFF\x00\x00\x00\x00AVI ",
        b"%!PS-Adobe-3.0 EPSF-3.0",
    ],
)
def test_what_is_no_picture_is_refused_whatever_it_is_called(data: bytes) -> None:
    with pytest.raises(NotAPictureError):
        rewrite(data, Purpose.TICKET)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff" + b"\x00" * 100,
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + b"<script>" * 10,
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        a_picture("PNG")[:60],
        a_picture("JPEG")[:300],
        a_picture("WEBP")[:30],
        b"\x89PNG\r\n\x1a\n" + a_picture("JPEG"),
    ],
)
def test_what_only_begins_like_a_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenPictureError):
        rewrite(data, Purpose.TICKET)


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_from_its_header(width: int, height: int) -> None:
    with pytest.raises((TooManyPixelsError, BrokenPictureError)):
        rewrite(a_png_that_claims(width, height, b"\x00" * 1_000_000), Purpose.TICKET)


def test_a_text_chunk_that_unpacks_without_end_is_refused_or_dropped() -> None:
    bomb = chunk(b"zTXt", b"a\x00\x00" + zlib.compress(b"\x00" * 80_000_000))
    data = a_picture("PNG")
    with pytest.raises(BrokenPictureError):
        rewrite(data[:33] + bomb + data[33:], Purpose.TICKET)


def test_more_than_ten_mebibytes_are_refused() -> None:
    with pytest.raises(FileTooLargeError):
        rewrite(a_picture("PNG") + b"\x00" * MAX_BYTES, Purpose.TICKET)


def test_a_large_picture_is_made_smaller_as_its_purpose_needs() -> None:
    data = a_picture("JPEG", size=(3000, 1500))
    ticket, avatar = rewrite(data, Purpose.TICKET), rewrite(data, Purpose.AVATAR)
    assert (ticket.width, ticket.height) == (2560, 1280)
    assert (avatar.width, avatar.height) == (512, 256)


def test_of_an_animation_the_first_frame_is_kept() -> None:
    out = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    kept = Image.open(io.BytesIO(rewrite(out.getvalue(), Purpose.TICKET).data))
    assert getattr(kept, "n_frames", 1) == 1
