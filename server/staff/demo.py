"""The demonstration's accounts, one for each role. Their secrets are public, so production refuses them at the log-in."""

from __future__ import annotations

from dataclasses import dataclass

DEMO_DOMAIN = "@huiban.demo"


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """One account whose password and authenticator secret everybody knows."""

    email: str
    name: str
    role: str
    password: str
    totp_secret: str


DEMO_ACCOUNTS: tuple[DemoAccount, ...] = (
    DemoAccount("ops@huiban.demo", "林晓雯", "operations", "Huiban-yunying-2026", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
    DemoAccount("service@huiban.demo", "周子涵", "service", "Huiban-kefu-2026", "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"),
    DemoAccount("store@huiban.demo", "陈建国", "store", "Huiban-dianyuan-2026", "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK"),
    DemoAccount("admin@huiban.demo", "吴昊", "admin", "Huiban-xitong-2026", "NBSWY3DPO5XXE3DENBSWY3DPO5XXE3DE"),
    DemoAccount("security@huiban.demo", "赵敏", "security", "Huiban-anquan-2026", "ONSWG5LSNF2HSZLBONSWG5LSNF2HSZLB"),
    DemoAccount("audit@huiban.demo", "孙立", "auditor", "Huiban-shenji-2026", "MF2WI2LUN5ZHG53JMF2WI2LUN5ZHG53J"),
)


def is_demo_email(email: str) -> bool:
    """Tell whether an e-mail address belongs to the demonstration."""
    return email.strip().lower().endswith(DEMO_DOMAIN)


def demo_account(email: str) -> DemoAccount | None:
    """Return the demonstration account of an e-mail address, or None."""
    wanted = email.strip().lower()
    return next((account for account in DEMO_ACCOUNTS if account.email == wanted), None)
