"""Watching a training: the only place where torch is patched. Nothing here renders or judges."""
