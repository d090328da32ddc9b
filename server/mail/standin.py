"""The local stand-in for a mail server: keeps what it took in, for the demonstration and the tests."""

from __future__ import annotations

import json
from pathlib import Path

from server.kernel.clock import SystemClock
from server.mail.gateway import Mail, SentMail, composed

NAME = "local"
SENDER = "member@huiban.example"


class LocalMail:
    """Takes every mail that a server would; ``taken`` lists those of this process.

    Arguments:
        file: where they are written down as well, one line each, or None.
    """

    name = NAME

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.taken: list[Mail] = []

    def send(self, mail: Mail) -> SentMail:
        """Keep one mail. See the Protocol."""
        message = composed(mail, sender=SENDER, sender_name="Huiban", at=SystemClock().now())
        message_id = str(message["Message-ID"]).strip("<>")
        self.taken.append(mail)
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            entry = {"id": message_id, "to": mail.to, "subject": mail.subject, "text": mail.text, "unsubscribe": mail.unsubscribe_url}
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
        return SentMail(message_id)
