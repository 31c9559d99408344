"""The record of a run: events, what they add up to, and how they lie on disk. No torch."""
