"""Judging a run: what a rule is, what it finds, and how all rules are asked."""
