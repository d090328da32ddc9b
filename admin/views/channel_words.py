"""What channels, providers and attempts are called in the console, and how a message looks on each channel."""

from __future__ import annotations

from flask_babel import gettext
from markupsafe import Markup

from admin.base import core
from admin.detail import Moment
from admin.formats import Tag
from server.kernel.text import N_
from server.notifications import letters
from server.notifications.attempts import AttemptView
from server.notifications.rules import Channel
from server.notifications.templates import MessageTemplate, spoken
from server.sms.gateway import segments_of

CHANNELS: dict[str, Tag] = {
    Channel.SUBSCRIBE: Tag(N_("Subscribe message"), "green"),
    Channel.OFFICIAL_ACCOUNT: Tag(N_("Official Account"), "cyan"),
    Channel.SMS: Tag(N_("Text message"), "orange"),
    Channel.EMAIL: Tag(N_("E-mail"), "blue"),
}
PROVIDERS: dict[str, str] = {
    "wechat": N_("WeChat mini-program"),
    "official_account": N_("Official Account"),
    "aliyun": N_("Aliyun text messages"),
    "tencent": N_("Tencent Cloud text messages"),
    "local": N_("Stand-in on this machine"),
    "smtp": N_("Mail server"),
    "sms": N_("Text message"),
    "email": N_("E-mail"),
    "subscribe": N_("Subscribe message"),
}
OUTCOMES: dict[str, Tag] = {
    "sent": Tag(N_("Taken in"), "green"),
    "refused": Tag(N_("Refused"), "red"),
    "not_done": Tag(N_("Not reached, tried again"), "orange"),
    "misconfigured": Tag(N_("Set up wrongly"), "red"),
    "unknown": Tag(N_("Outcome unknown"), "orange"),
    "skipped": Tag(N_("Left out"), "grey"),
    "delivered": Tag(N_("Arrived"), "green"),
    "undelivered": Tag(N_("Did not arrive"), "red"),
    "decided": Tag(N_("Decided by staff"), "blue"),
}
_TONES = {"green": "green", "red": "red", "orange": "orange"}


def provider_name(code: str | None) -> str:
    """Return what a provider is called."""
    return str(gettext(PROVIDERS[code])) if code in PROVIDERS else code or ""


def channel_name(code: str) -> str:
    """Return what a channel is called."""
    return str(gettext(CHANNELS[code].label)) if code in CHANNELS else code


def moment_of(one: AttemptView, why: str) -> Moment:
    """Return an attempt as a moment of a timeline; ``why`` is its reason in the reader's language."""
    tag = OUTCOMES[one.outcome]
    parts = [
        provider_name(one.provider),
        why,
        gettext("%(count)s parts charged", count=one.segments) if one.segments else "",
        f"{one.milliseconds} ms" if one.milliseconds is not None else "",
    ]
    title = f"{channel_name(one.channel)} · {gettext(tag.label)}"
    return Moment(one.occurred_at, title, " · ".join(part for part in parts if part), _TONES.get(tag.tone, "blue"))


def text_preview(template: type[MessageTemplate], texts: dict[str, str]) -> tuple[str, int]:
    """Return a message as a text message, and how many parts it is charged as."""
    settings = core().settings
    said = gettext(template.body, **spoken(template, texts, gettext))
    text = letters.text_message(settings.sms_sign or settings.brand_name, said, template.topic)
    return text, segments_of(text)


def previews(template: type[MessageTemplate], texts: dict[str, str]) -> Markup:
    """Return how a message looks as a text message and as an e-mail."""
    text, parts = text_preview(template, texts)
    settings = core().settings
    said = gettext(template.body, **spoken(template, texts, gettext))
    written = letters.letter(settings.brand_name, gettext(template.title), said, f"{settings.base_url}/…")
    return Markup(
        '<div class="ch-previews"><h4>{sms}<small>{parts}</small></h4><p class="ch-bubble">{text}</p>'
        '<h4>{mail}<small>{subject}</small></h4><p class="ch-mail">{body}</p></div>'
    ).format(
        sms=gettext("Text message"),
        parts=gettext("%(count)s parts charged", count=parts),
        text=text,
        mail=gettext("E-mail"),
        subject=written.subject,
        body=written.text,
    )
