"""Plants faults, one at a time, in a copy of the tree, and shows that the proof of the messages finds each.

Run by hand: ``python -m tests.chaos.planted_message_faults [WORD]``; a word picks the faults whose names have it. The engine is SQLite: what is
planted shows on it, and it starts fastest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.properties.planted_faults import copied

ROOT = Path(__file__).parents[2]
DELIVERY, RULES, GATEWAY = "server/notifications/delivery.py", "server/notifications/rules.py", "server/wechat/calls/client.py"
JOBS, DELIVERIES, TOKENS = "tasks/jobs/notifications.py", "tasks/deliveries.py", "server/wechat/token_cache.py"


@dataclass(frozen=True)
class Planted:
    """A fault.

    Arguments:
        name: what is wrong then.
        changes: file, text, and what stands there instead.
        shows: what the verdict must complain of; that a run took too long is no proof.
    """

    name: str
    changes: tuple[tuple[str, str, str], ...]
    shows: str


FAULTS = (
    Planted(
        "a call is written down as sent before it is made",
        ((JOBS, "            calling = {pool.submit(_call, core, claimed): claimed for claimed in _claim(core, chunk)}\n", '            claims = _claim(core, chunk)\n            _settle(core, [(claimed, Outcome("sent")) for claimed in claims])\n            calling = {pool.submit(_call, core, claimed): claimed for claimed in claims}\n'),),
        "says the product",
    ),
    Planted(
        "what was being sent when its process died is queued again",
        ((DELIVERY, '    values = {"state": State.UNCERTAIN.value, "reason": "broken_off",', '    values = {"state": State.QUEUED.value, "reason": "broken_off",'),),
        "twice",
    ),
    Planted(
        "an unknown outcome is tried again",
        ((RULES, "    return Verdict(State.UNCERTAIN, GrantEnd.HOLD, outcome.reason)", "    return Verdict(State.QUEUED, GrantEnd.RELEASE, outcome.reason, pause_after(attempts))"),),
        "was not refused",
    ),
    Planted(
        "an unknown outcome gives the allowance back",
        ((RULES, "    return Verdict(State.UNCERTAIN, GrantEnd.HOLD, outcome.reason)", "    return Verdict(State.UNCERTAIN, GrantEnd.RELEASE, outcome.reason)"),),
        "allowances",
    ),
    Planted("a server error of WeChat counts as a refusal", ((GATEWAY, "certainly_not_done=0 < status < _HTTP_SERVER_ERROR", "certainly_not_done=True"),), "was not refused"),
    Planted("a broken connection counts as a refusal", ((GATEWAY, "return WeChatUnavailableError(word, certainly_not_done=never_left)", "return WeChatUnavailableError(word, certainly_not_done=True)"),), "was not refused"),
    Planted("a page that is not JSON counts as success", ((GATEWAY, '    reason = "unreadable"\n    raise WeChatUnavailableError(reason)', "    return {}"),), "says the product"),
    Planted("a busy WeChat ends the message at once", ((RULES, 'MOST_BUSY_CALLS if outcome.reason == "busy" else MOST_CALLS', "0"),), "failed too early"),
    Planted("a delivery whose lease ran out is left alone", (("tasks/relay.py", "OutboxDelivery.lease_until <= now, OutboxDelivery.attempts < MAX_ATTEMPTS, mine", "OutboxDelivery.lease_until <= now, OutboxDelivery.attempts < 0, mine"),), "were left when"),
    Planted("nothing that is due by itself is sent", ((JOBS.replace("notifications", "sending"), "    total = 0\n", "    return 0\n    total = 0\n"),), "were left when"),
)  # fmt: skip


def found(folder: Path, fault: Planted) -> str:
    """Return the first thing that a short run says is wrong when a fault is planted; nothing when it survives."""
    for file, right, wrong in fault.changes:
        path = folder / file
        text = path.read_text()
        assert text.count(right) == 1, f"{fault.name}: {file} has the text {text.count(right)} times"
        path.write_text(text.replace(right, wrong))
    try:
        plan = "--engine sqlite --messages 600 --faults 40 --members 100 --patience 150 --alone --folder"
        command = [sys.executable, "-m", "tests.chaos.messages", *plan.split(), str(folder / "run" / fault.name.replace(" ", "-"))]
        done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
    finally:
        for file, _, _ in fault.changes:
            (folder / file).write_text((ROOT / file).read_text())
    said = [line for line in done.stdout.splitlines() if line.startswith("VIOLATION") and fault.shows in line]
    # A run that could not begin tells nothing about the fault.
    assert "violations; records in" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    return said[0] if done.returncode and said else ""


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    survived: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        copied(folder)
        # Else it would be the machine, or the run itself, that is complained of.
        sound = found(folder, Planted("nothing", (), ""))
        if sound:
            print(f"nothing is planted, and yet: {sound}")
            return 1
        for fault in FAULTS:
            if word in fault.name:
                said = found(folder, fault)
                print(f"{fault.name:60} {said[:200] or 'SURVIVED'}", flush=True)
                survived += [] if said else [fault.name]
    print(f"{len(survived)} survived: {survived}" if survived else "each was caught")
    return bool(survived)


if __name__ == "__main__":
    sys.exit(main())
