"""The account's templates over HTTP."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

from server.wechat.emulator.approved import TEMPLATES
from server.wechat.emulator.platform import Platform, PlatformError


def add_calls(app: Flask, platform: Platform) -> None:
    """Add the addresses."""

    def check() -> None:
        platform.check_token(request.args.get("access_token", ""))

    @app.get("/wxaapi/newtmpl/gettemplate")
    def get_templates() -> Response:
        check()
        data = [
            {
                "priTmplId": template_id,
                "title": template["title"],
                "content": "".join(f"{label}:{{{{{name}.DATA}}}}\n" for name, label in template["fields"].items()),
                "example": "".join(f"{label}:…\n" for label in template["fields"].values()),
                "type": 2,
            }
            for template_id, template in TEMPLATES.items()
        ]
        return jsonify(errcode=0, errmsg="ok", data=data)

    @app.get("/wxaapi/newtmpl/getcategory")
    def get_category() -> Response:
        check()
        return jsonify(errcode=0, errmsg="ok", data=[{"id": 307, "name": "线下超市/便利店"}, {"id": 616, "name": "公关/推广"}])

    @app.get("/wxaapi/newtmpl/getpubtemplatekeywords")
    def get_keywords() -> Response:
        check()
        template = TEMPLATES.get(request.args.get("tid", ""))
        if template is None:
            raise PlatformError(200011, "tid not found")
        data = [
            {"kid": kid, "name": label, "example": "…", "rule": name.rstrip("0123456789")}
            for kid, (name, label) in enumerate(template["fields"].items(), 1)
        ]
        return jsonify(errcode=0, errmsg="ok", count=len(data), data=data)
