"""What only a thorough watch asks, for the rules of ``check``: dearer facts, each in a module of its own."""
