"""How a message looks as a text message and as an e-mail. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from server.notifications.templates import Topic

_STOP = "回T退订"


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail's subject and both its bodies."""

    subject: str
    text: str
    html: str


def text_message(sign: str, text: str, topic: Topic) -> str:
    """Return a text message as the phone shows it: signature, text, and for offers how to end them, as the rules of the networks demand."""
    end = f" {_STOP}" if topic is Topic.OFFERS else ""
    return f"【{sign}】{text}{end}"


def letter(brand: str, title: str, text: str, unsubscribe_url: str) -> Letter:
    """Return an e-mail.

    Arguments:
        brand: who writes.
        title: one line.
        text: what there is to say.
        unsubscribe_url: where these mails are ordered off.
    """
    footer = f"此邮件由{brand}会员中心自动发出，请勿直接回复。"
    plain = f"{text}\n\n打开小程序可查看详情。\n\n--\n{footer}\n不想再收到这类邮件：{unsubscribe_url}\n"
    html = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>'
        "<body style=\"margin:0;background:#f3f4f6;font-family:-apple-system,'PingFang SC','Microsoft YaHei',sans-serif;color:#191919\">"
        '<div style="max-width:560px;margin:0 auto;padding:32px 16px">'
        f'<div style="font-weight:600;padding:0 4px 16px">{escape(brand)}</div>'
        '<div style="background:#fff;border-radius:12px;padding:28px 24px">'
        f'<h1 style="font-size:20px;margin:0 0 12px">{escape(title)}</h1>'
        f'<p style="font-size:15px;line-height:1.7;margin:0">{escape(text)}</p>'
        '<p style="font-size:14px;color:#6b7280;margin:20px 0 0">打开小程序可查看详情。</p></div>'
        f'<p style="font-size:12px;color:#8a8f99;line-height:1.7;padding:16px 4px">{escape(footer)}<br>'
        f'<a href="{escape(unsubscribe_url)}" style="color:#8a8f99">不想再收到这类邮件</a></p>'
        "</div></body></html>"
    )
    return Letter(f"{title} · {brand}", plain, html)


def code_letter(brand: str, code: str) -> Letter:
    """Return the e-mail that carries a code to prove an address."""
    text = f"您的验证码是 {code}，15 分钟内有效。如果不是您本人操作，请忽略此邮件。"
    html = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"></head>'
        "<body style=\"font-family:-apple-system,'PingFang SC','Microsoft YaHei',sans-serif;color:#191919;padding:24px\">"
        f'<p style="font-weight:600">{escape(brand)}</p><p>您的验证码：</p>'
        f'<p style="font-size:28px;letter-spacing:6px;font-weight:700">{escape(code)}</p>'
        "<p>15 分钟内有效。如果不是您本人操作，请忽略此邮件。</p></body></html>"
    )
    return Letter(f"验证您的邮箱 · {brand}", text + "\n", html)
