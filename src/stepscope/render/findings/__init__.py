"""From the outcome of a check to text: for a terminal, for programs, for code hosts."""
