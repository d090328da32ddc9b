"""E-mail through an SMTP server, step by step so that each failure says how far the mail came.

Encryption is not optional: ``tls`` speaks it from the first byte, ``starttls`` before the log-in, and ``none`` is refused in
production by the settings. Certificates are checked.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable

import structlog

from server.kernel.clock import Clock, SystemClock
from server.kernel.errors import DomainError
from server.mail.errors import MailMisconfiguredError, MailRejectedError, MailUnavailableError
from server.mail.gateway import Mail, SentMail, composed

_log = structlog.get_logger("mail")

NAME = "smtp"
_TIMEOUT_SECONDS = 10
_PERMANENT = 500
_OK = 250
_ACCEPTED = (250, 251)
# Refusals of an address that are about us and not about it.
_ABOUT_US = frozenset({530, 535})


class SmtpMail:
    """Sends through one SMTP server, each mail over a connection of its own.

    Arguments:
        host, port: of the server.
        security: ``tls``, ``starttls`` or ``none``.
        user, password: of the account; no log-in without a user.
        sender: our address.
        sender_name: the brand.
        clock: tells the date of a mail.
        context: how certificates are checked; the machine's own authorities when left out.
    """

    name = NAME

    def __init__(
        self,
        *,
        host: str,
        port: int,
        security: str,
        user: str,
        password: str,
        sender: str,
        sender_name: str,
        clock: Clock | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._security = security
        self._user = user
        self._password = password
        self._sender = sender
        self._sender_name = sender_name
        self._clock = clock or SystemClock()
        self._context = context or ssl.create_default_context()

    def send(self, mail: Mail) -> SentMail:
        """Send one mail. See the Protocol."""
        message = composed(mail, sender=self._sender, sender_name=self._sender_name, at=self._clock.now())
        failure: DomainError | None = None
        connection: smtplib.SMTP | None = None
        in_data = False
        try:
            connection = self._connected()
            _accepted(connection.mail(self._sender)[0], _about_sender)
            _accepted(connection.rcpt(mail.to)[0], _about_recipient)
            code, _ = connection.docmd("DATA")
            if code != 354:  # noqa: PLR2004 - "go ahead"
                raise _refused(code, "content")
            in_data = True
            code = _body(connection, message.as_bytes())
            if code != _OK:
                raise _refused(code, "content")
        except DomainError as error:
            failure = error
        except ssl.SSLCertVerificationError:
            failure = MailMisconfiguredError("certificate")
        except (smtplib.SMTPException, OSError) as error:
            failure = _broken(error, in_data=in_data)
        finally:
            _farewell(connection)
        # Raised out here so that the original, whose text holds the address, is not even its context.
        if failure is not None:
            _log.warning("mail.not_sent", kind=type(failure).__name__, reason=getattr(failure, "reason", ""))
            raise failure
        return SentMail(str(message["Message-ID"]).strip("<>"))

    def _connected(self) -> smtplib.SMTP:
        connection: smtplib.SMTP
        if self._security == "tls":
            connection = smtplib.SMTP_SSL(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=self._context)
        else:
            connection = smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.ehlo_or_helo_if_needed()
            if self._security == "starttls":
                try:
                    connection.starttls(context=self._context)
                except smtplib.SMTPNotSupportedError:
                    # A server, or somebody between, that hides STARTTLS gets neither our password nor a mail.
                    raise MailMisconfiguredError("tls") from None
            if self._user:
                try:
                    connection.login(self._user, self._password)
                except smtplib.SMTPAuthenticationError as error:
                    code = error.smtp_code
                    refused = (
                        MailMisconfiguredError("auth")
                        if code >= _PERMANENT
                        else MailUnavailableError(f"busy_{code}", certainly_not_done=True)
                    )
                    raise refused from None
        except BaseException:
            connection.close()
            raise
        return connection


def _accepted(code: int, judge: Callable[[int], DomainError]) -> None:
    if code not in _ACCEPTED:
        raise judge(code)


def _about_sender(code: int) -> DomainError:
    return MailMisconfiguredError("sender") if code >= _PERMANENT else MailUnavailableError(f"busy_{code}", certainly_not_done=True)


def _about_recipient(code: int) -> DomainError:
    return MailMisconfiguredError("auth") if code in _ABOUT_US else _refused(code, "bad_address")


def _refused(code: int, reason: str) -> DomainError:
    if code >= _PERMANENT:
        return MailRejectedError(reason, smtp_code=code)
    return MailUnavailableError(f"busy_{code}", certainly_not_done=True)


def _body(connection: smtplib.SMTP, raw: bytes) -> int:
    # Lines that begin with a dot are doubled, as the protocol wants; the policy has made the line ends.
    text = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in raw.split(b"\r\n"))
    connection.send(text if text.endswith(b"\r\n") else text + b"\r\n")
    connection.send(b".\r\n")
    code, _ = connection.getreply()
    return code


def _broken(error: Exception, *, in_data: bool) -> MailUnavailableError:
    if isinstance(error, socket.gaierror | ConnectionRefusedError):
        return MailUnavailableError("connect", certainly_not_done=True)
    # smtplib says of a silence that the connection was closed, and keeps the silence as the context.
    word = "timeout" if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError) else "broken_off"
    # Before the text was sent there is nothing the server could have delivered.
    return MailUnavailableError(word, certainly_not_done=not in_data)


def _farewell(connection: smtplib.SMTP | None) -> None:
    if connection is None:
        return
    try:
        connection.quit()
    except (smtplib.SMTPException, OSError):
        connection.close()
