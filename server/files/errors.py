"""Why a file is not taken or not shown."""

from __future__ import annotations

from server.kernel.errors import ForbiddenError, InvalidError, NotFoundError, TooLargeError, TooManyError, UnsupportedTypeError


class FileTooLargeError(TooLargeError):
    """More bytes than are taken."""

    code = "file_too_large"
    message = "The picture may have at most %(megabytes)s MB."


class NotAPictureError(UnsupportedTypeError):
    """The content is no JPEG, PNG or WebP, whatever it is called."""

    code = "not_a_picture"
    message = "Only JPEG, PNG and WebP pictures are accepted."


class BrokenPictureError(InvalidError):
    """It begins like a picture but cannot be read to its end."""

    code = "picture_unreadable"
    message = "The picture cannot be read. Please choose another one."


class TooManyPixelsError(InvalidError):
    """Decoding it would take more memory than a picture is worth."""

    code = "picture_too_many_pixels"
    message = "The picture has too many pixels. Please choose a smaller one."


class TooManyUploadsError(TooManyError):
    """The member's uploads of this day are spent."""

    code = "upload_limit_reached"
    message = "You have uploaded many pictures today. Please try again tomorrow."


class UploadNotFoundError(NotFoundError):
    """No such upload, or it is somebody else's."""

    code = "upload_not_found"
    message = "The picture was not found."


class LinkInvalidError(ForbiddenError):
    """The address was not signed by us, or has expired."""

    code = "file_link_invalid"
    message = "This link is not valid any more."
