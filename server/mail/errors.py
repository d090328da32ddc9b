"""What can go wrong between us and the mail server, said without addresses, texts or passwords."""

from __future__ import annotations

from server.kernel.errors import InvalidError, UnavailableError


class MailUnavailableError(UnavailableError):
    """The mail server did not answer, or cannot for the moment.

    Arguments:
        reason: a short word for logs and lists (``timeout``, ``connect``, ``busy_451``…).
        certainly_not_done: True when the mail cannot have been taken in, so that it may be sent again.
    """

    code = "mail_unavailable"
    message = "E-mail cannot be sent for the moment. Please try again later."

    def __init__(self, reason: str = "unknown", *, certainly_not_done: bool = False) -> None:
        super().__init__()
        self.reason = reason
        self.certainly_not_done = certainly_not_done


class MailRejectedError(InvalidError):
    """The mail server refused this mail for good.

    Arguments:
        reason: ours: ``bad_address`` or ``content``.
        smtp_code: the server's number.
    """

    code = "mail_rejected"
    message = "This e-mail was refused (%(reason)s)."

    def __init__(self, reason: str, *, smtp_code: int = 0) -> None:
        super().__init__(reason=reason)
        self.reason = reason
        self.smtp_code = smtp_code


class MailMisconfiguredError(UnavailableError):
    """Our account, sender or encryption at the mail server is not in order: staff must act. Nothing was sent.

    Arguments:
        reason: ``auth``, ``sender``, ``tls`` or ``certificate``.
    """

    code = "mail_misconfigured"
    message = "E-mail is not set up correctly."

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason
