"""Measurements against real material and against peers; run by hand, imported by nothing."""
