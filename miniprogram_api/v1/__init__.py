"""Member API, version 1: one blueprint for each domain."""
