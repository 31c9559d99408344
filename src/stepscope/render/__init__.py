"""Renderers: each takes a trace document and returns text. None of them reads torch, or prints."""
