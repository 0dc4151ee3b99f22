"""Measurements: each writes results/NAME.json, from which the tables are made. Not in the wheel."""
