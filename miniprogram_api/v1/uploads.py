"""Pictures that members hand in, and the signed addresses they are seen under."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Literal, ParamSpec, cast
from uuid import UUID

from apiflask import APIBlueprint
from apiflask.fields import UploadFile
from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from miniprogram_api import context
from miniprogram_api.auth import member_required, public
from miniprogram_api.idempotent import json_response
from miniprogram_api.openapi import documented
from miniprogram_api.schemas import Input, Output
from server.files import service
from server.files.errors import LinkInvalidError, UploadNotFoundError
from server.files.queries import UploadView
from server.files.rules import Purpose
from server.flows import screening as flow
from server.screening import queries as screening

P = ParamSpec("P")

bp = APIBlueprint("v1_uploads", __name__, tag="Uploads")


class UploadOut(Output):
    """A picture taken in. ``url`` is a path on this host that expires."""

    upload_id: UUID
    url: Annotated[str, Field(description="signed path, valid for about 15 minutes")]


class PictureIn(BaseModel):
    """``multipart/form-data`` with one picture: JPEG, PNG or WebP, at most 10 MiB."""

    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)

    file: UploadFile


class AvatarIn(Input):
    """A picture handed in before, or null for none."""

    upload_id: UUID | None


class AvatarOut(Output):
    """The avatar as it is now."""

    upload_id: UUID | None
    url: str | None


class UploadIn(PictureIn):
    """A picture and what it is for."""

    purpose: Literal["ticket", "avatar"] = "ticket"


def address_of(upload_id: UUID) -> str:
    """Return the signed path of an upload, for whoever may see it now."""
    return service.signed_address(upload_id, secret_key=context.core().settings.secret_key, now=context.now())


@bp.post("/api/v1/uploads")
@member_required
@bp.input(UploadIn, location="form_and_files")
@bp.doc(summary="Hand in a picture")
@bp.output(UploadOut, status_code=201)
def hand_in(form_and_files_data: UploadIn) -> Response:
    """Take in one picture for a ticket or an avatar; it is kept once something uses it, otherwise removed after a day."""
    data, content_type = _read(form_and_files_data.file)
    upload = context.core().db.run(
        lambda session: service.store_upload(
            session,
            context.core().files,
            owner_member_id=context.member_id(),
            purpose=form_and_files_data.purpose,
            data=data,
            content_type=content_type,
            now=context.now(),
        )
    )
    return _answer(upload, 201)


def _choose_avatar(json_data: AvatarIn) -> Response:
    member_id, now = context.member_id(), context.now()
    context.core().db.run(lambda session: flow.set_avatar(session, member_id, json_data.upload_id, actor=context.actor(), now=now))
    url = address_of(json_data.upload_id) if json_data.upload_id else None
    return json_response(AvatarOut(upload_id=json_data.upload_id, url=url))


def _or_chosen(view: Callable[P, Response]) -> Callable[P, Response]:
    """Let a JSON body choose an upload made before, in place of a picture in the form."""

    @wraps(view)
    def either(*args: P.args, **kwargs: P.kwargs) -> Response:
        if not request.is_json:
            return view(*args, **kwargs)
        # APIFlask brings the body in, so that the caller gives none.
        return cast("Callable[[], Response]", bp.input(AvatarIn)(_choose_avatar))()

    return either


@bp.put("/api/v1/me/avatar")
@member_required
@_or_chosen
@bp.input(PictureIn, location="form_and_files")
@bp.doc(
    summary="Set the avatar", description="With a picture as a form, or with JSON `{upload_id}` of one handed in before (null for none)."
)
@bp.output(AvatarOut)
@documented(takes={"application/json": AvatarIn})
def set_avatar(form_and_files_data: PictureIn) -> Response:
    """Take in a picture and make it the member's avatar, in one transaction."""
    data, content_type = _read(form_and_files_data.file)
    core, member_id, now = context.core(), context.member_id(), context.now()

    def work(session: Session) -> UploadView:
        upload = service.store_upload(
            session, core.files, owner_member_id=member_id, purpose=Purpose.AVATAR, data=data, content_type=content_type, now=now
        )
        flow.set_avatar(session, member_id, upload.id, actor=context.actor(), now=now)
        return upload

    return _answer(core.db.run(work), 200)


@bp.get("/files/<uuid:upload_id>")
@public
@bp.doc(summary="See a picture", description="Whoever holds a signed address that has not expired may see the picture.")
@documented(
    gives={f"image/{kind}": {"type": "string", "contentMediaType": f"image/{kind}"} for kind in ("jpeg", "png", "webp")},
    query={"expires": "Unix seconds, as signed", "signature": "as signed"},
)
def show(upload_id: UUID) -> Response:
    """Send a picture to whoever brings its signed address."""
    try:
        expires = int(request.args.get("expires", ""))
    except ValueError as error:
        raise LinkInvalidError from error
    core, now = context.core(), context.now()
    with core.db.reading() as session:
        if screening.hidden_uploads(session, [upload_id]):
            # An address given out before the review refused the picture shows it no more.
            raise UploadNotFoundError
        opened = service.open_signed(
            session,
            core.files,
            upload_id,
            expires=expires,
            signature=request.args.get("signature", ""),
            secret_key=core.settings.secret_key,
            now=now,
        )
    response = Response(opened.data, content_type=opened.content_type)
    response.headers["Content-Disposition"] = f'inline; filename="{opened.name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    # A picture is data even if a browser should ever take it for a page.
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cross-Origin-Resource-Policy"] = "same-site"
    response.headers["Cache-Control"] = f"private, max-age={max(0, expires - int(now.timestamp()))}, immutable"
    return response


def _read(file: FileStorage) -> tuple[bytes, str]:
    # Large files lie in a temporary file meanwhile, which is given back here.
    try:
        return file.read(), file.mimetype or ""
    finally:
        file.close()


def _answer(upload: UploadView, status: int) -> Response:
    return json_response(UploadOut(upload_id=upload.id, url=address_of(upload.id)), status)
