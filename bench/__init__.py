"""Benchmarks: each one command, printing ratios measured side by side in one run."""
