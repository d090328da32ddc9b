"""WeChat: one Protocol that the product talks to, its adapter over wechatpy, and an emulator that keeps the platform's rules.

Invariants: a login code or an allowance is spent by one call at most; no secret, token, code or openid reaches a log or an
error's text; every failure comes out as one of ``server.wechat.errors``.
"""
