"""The project's figures, each of which anyone can make again: ``make bench``."""
