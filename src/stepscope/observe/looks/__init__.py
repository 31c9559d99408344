"""Close looks: what is measured while one update is looked at."""
