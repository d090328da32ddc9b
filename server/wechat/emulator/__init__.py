"""A stand-in for WeChat on this machine: a process of its own that keeps the platform's rules.

For demonstrations and tests. ``platform`` holds the rules and the memory, ``app`` the addresses, ``outbound`` the server
push. It listens on the loopback only, and nothing else of the product imports it.
"""
