"""The link at the end of an e-mail: a page with a button, and the one click of mail programs (RFC 8058). Nobody has to log in.

Looking at the page changes nothing: mail programs and scanners open every link.
"""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, request
from flask_babel import get_locale, gettext
from markupsafe import Markup

from miniprogram_api.auth import verified_by_signature
from miniprogram_api.context import core, now
from miniprogram_api.openapi import documented
from server.notifications import unsubscribing
from server.notifications.templates import TOPIC_NAMES

bp = APIBlueprint("callback_unsubscribe", __name__, url_prefix="/callbacks/unsubscribe", tag="Callbacks")

_PAGE = {"text/html": {"type": "string"}}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_LAYOUT = Markup(
    '<!doctype html><html lang="{lang}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<title>{title}</title><style>"
    "body{{margin:0;background:#f3f4f6;color:#191919;"
    "font:16px/1.7 -apple-system,'PingFang SC','Noto Sans CJK SC','Microsoft YaHei',sans-serif}}"
    "main{{max-width:440px;margin:12vh auto 0;background:#fff;border-radius:16px;padding:36px 32px;box-shadow:0 12px 40px #0000000f}}"
    "h1{{font-size:21px;margin:0 0 10px}}p{{color:#5c6370;margin:0 0 22px}}form{{display:grid;gap:12px}}"
    "button{{font:inherit;padding:11px 16px;border-radius:10px;border:1px solid #d5d8de;background:#fff;cursor:pointer}}"
    "button.main{{background:#191919;border-color:#191919;color:#fff}}small{{display:block;color:#8a8f99;margin-top:24px}}"
    "@media(max-width:520px){{main{{margin:0;min-height:100vh;border-radius:0;box-sizing:border-box;padding-top:64px}}}}"
    "</style></head><body><main><h1>{title}</h1><p>{text}</p>{form}<small>{brand}</small></main></body></html>"
)
_FORM = Markup(
    '<form method="post"><button class="main" name="scope" value="topic">{topic}</button>'
    '<button name="scope" value="all">{all}</button></form>'
)


@bp.get("/<token>")
@verified_by_signature
@documented(gives=_PAGE)
def ask(token: str) -> Response:
    """Ask whether the e-mails are to end."""
    link = unsubscribing.read(core().settings.secret_key, token)
    name = gettext(TOPIC_NAMES[link.topic])
    form = _FORM.format(topic=gettext("End e-mails about: %(topic)s", topic=name), all=gettext("End all e-mails"))
    return _page(gettext("End these e-mails?"), gettext("Everything stays readable in the mini-program."), form)


@bp.post("/<token>")
@verified_by_signature
@documented(takes={"application/x-www-form-urlencoded": {"type": "object"}}, body_required=False, gives=_PAGE)
def end(token: str) -> Response:
    """End the e-mails of the link's topic, or all; again is fine. Mail programs send ``List-Unsubscribe=One-Click``."""
    link, at = unsubscribing.read(core().settings.secret_key, token), now()
    every_topic = request.form.get("scope") == "all"
    core().db.run(lambda session: unsubscribing.from_email(session, link, every_topic=every_topic, now=at))
    text = gettext("You can have them again at any time: in the mini-program, under notifications.")
    return _page(gettext("These e-mails have ended"), text, Markup())


def _page(title: str, text: str, form: Markup) -> Response:
    lang = str(get_locale() or "zh_CN").replace("_", "-")
    html = _LAYOUT.format(lang=lang, title=title, text=text, form=form, brand=core().settings.brand_name)
    response = Response(html, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "no-store"
    return response
