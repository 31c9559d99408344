"""Running an unchanged script as ``python SCRIPT ARGS`` would, with a watch around it."""
