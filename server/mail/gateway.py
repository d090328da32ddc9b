"""What sending e-mail comes down to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Protocol

import email_validator

from server.mail.errors import MailRejectedError

_ADDRESS_CHARS = 254


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail to one address.

    Arguments:
        to: one address, already checked (``address_of``).
        subject: one line.
        text: for readers without pictures.
        html: the same for the others, complete and safe.
        reference: ours, of letters, digits and hyphens; makes the Message-ID, so that two copies of one mail are known as one.
        unsubscribe_url: where one POST ends these mails (RFC 8058), or None for mails that nobody can order off.
    """

    to: str
    subject: str
    text: str
    html: str
    reference: str
    unsubscribe_url: str | None = None


@dataclass(frozen=True, slots=True)
class SentMail:
    """A mail the server took in; ``message_id`` is its Message-ID without brackets."""

    message_id: str


class MailProvider(Protocol):
    """Sends e-mail. No call may be made inside a transaction, since each waits for the network."""

    @property
    def name(self) -> str:
        """Return the provider's name as it stands in lists."""
        ...

    def send(self, mail: Mail) -> SentMail:
        """Send one mail once.

        Raises:
            MailUnavailableError: no answer, or not now; it says whether the mail may be on its way.
            MailRejectedError: refused for this address or these words.
            MailMisconfiguredError: our account there is not in order.
        """
        ...


def address_of(text: str) -> str:
    """Return an e-mail address in its one normal form: no blanks, domain in lower case and ASCII.

    Raises:
        ValueError: it is none, is too long, or cannot be written to without SMTPUTF8, which few servers in use speak.
    """
    checked = email_validator.validate_email(text.strip(), check_deliverability=False, allow_smtputf8=False)
    address = checked.ascii_email
    if address is None or len(address) > _ADDRESS_CHARS:
        message = "no usable e-mail address"
        raise ValueError(message)
    return address


def composed(mail: Mail, *, sender: str, sender_name: str, at: datetime) -> EmailMessage:
    """Return a mail as it is sent.

    Arguments:
        mail: what to say to whom.
        sender: our address.
        sender_name: the brand.
        at: present instant.

    Raises:
        MailRejectedError: a line break in a subject, address or link, which would add headers of a stranger's.
    """
    message = EmailMessage(policy=SMTP)
    domain = sender.rpartition("@")[2]
    headers = {
        "From": f"{_quoted(sender_name)} <{sender}>",
        "To": mail.to,
        "Subject": mail.subject,
        "Date": format_datetime(at),
        "Message-ID": f"<{mail.reference}@{domain}>",
        # Answers of vacation programs to a machine help nobody (RFC 3834).
        "Auto-Submitted": "auto-generated",
    }
    if mail.unsubscribe_url is not None:
        headers["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    try:
        for name, value in headers.items():
            if any(ord(char) < ord(" ") for char in value):
                raise ValueError  # noqa: TRY301 - one place says what it means
            message[name] = value
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
    except ValueError:
        pass
    else:
        return message
    raise MailRejectedError("content")


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "").replace('"', "") + '"'
