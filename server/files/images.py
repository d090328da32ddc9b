"""Pictures decoded and written anew: metadata, trailing bytes and disguises do not survive that.

Everything that costs memory is refused from the header, before a pixel is decoded.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image, ImageOps

from server.files.errors import BrokenPictureError, FileTooLargeError, NotAPictureError, TooManyPixelsError
from server.files.rules import LONGEST_SIDE, MAX_BYTES, MAX_PIXELS, Purpose, content_type_of

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# What Pillow's decoders raise on hostile input; it has no common base class.
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture written by us."""

    data: bytes
    content_type: str
    width: int
    height: int


def rewrite(data: bytes, purpose: Purpose) -> Picture:
    """Check a picture and write it anew, upright, without metadata, no larger than its purpose needs.

    Only the first frame of an animation is kept.

    Arguments:
        data: the file as it came.
        purpose: decides the longest side.

    Returns:
        The new picture in the format it came in.

    Raises:
        FileTooLargeError: more than 10 MiB.
        NotAPictureError: neither JPEG nor PNG nor WebP by its first bytes.
        TooManyPixelsError: more than 50 million pixels.
        BrokenPictureError: it cannot be decoded.
    """
    if len(data) > MAX_BYTES:
        raise FileTooLargeError(megabytes=MAX_BYTES // 1024 // 1024)
    content_type = content_type_of(data)
    if content_type is None:
        raise NotAPictureError
    side = LONGEST_SIDE[purpose]
    try:
        with Image.open(io.BytesIO(data), formats=[_FORMATS[content_type]]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise TooManyPixelsError
            # A JPEG can be decoded at a half, a quarter or an eighth, which saves most of the memory.
            image.draft("RGB", (side, side))
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _written(upright, content_type, side)
    except _BOMBS as error:
        raise TooManyPixelsError from error
    except _BROKEN as error:
        raise BrokenPictureError from error


def _written(image: Image.Image, content_type: str, side: int) -> Picture:
    transparent = content_type != "image/jpeg" and (image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info)
    # Copied onto a new canvas: info, EXIF, colour profile and text chunks stay behind with the old one.
    pixels = image.convert("RGBA" if transparent else "RGB")
    pixels.thumbnail((side, side), Image.Resampling.LANCZOS)
    fresh = Image.new(pixels.mode, pixels.size)
    fresh.paste(pixels)
    out = io.BytesIO()
    if content_type == "image/png":
        fresh.save(out, "PNG", optimize=False)
    else:
        fresh.save(out, _FORMATS[content_type], quality=85)
    return Picture(out.getvalue(), content_type, fresh.width, fresh.height)
