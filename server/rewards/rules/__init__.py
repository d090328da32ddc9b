"""The rules of rewards: what a reward promises, what may follow what, and how far points pay. Pure."""
