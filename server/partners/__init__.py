"""Partners: tills, shops and ERPs that sign their calls.

Invariants: a partner has at most two live keys, so that one can be replaced while the other works; a secret is shown once and
stored sealed; a nonce is taken once.
"""
