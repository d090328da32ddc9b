"""Chooses how e-mail is sent by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.mail.smtp import SmtpMail
from server.mail.standin import LocalMail

if TYPE_CHECKING:
    from config.settings import Settings
    from server.mail.gateway import MailProvider


def mail_provider(settings: Settings) -> MailProvider | None:
    """Return SMTP when a server is set; otherwise the stand-in, and in production nothing at all."""
    if settings.smtp_host:
        return SmtpMail(
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            user=settings.smtp_user,
            password=settings.smtp_password,
            sender=settings.mail_from,
            sender_name=settings.brand_name,
        )
    return None if settings.production else LocalMail(settings.outbound_dir / "mail.jsonl")
