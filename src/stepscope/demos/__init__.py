"""The programs of ``stepscope demo``: plain training scripts that know nothing of stepscope."""
