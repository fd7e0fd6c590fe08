"""Fuzz targets of the parsers, with the inputs to begin with.

`make test` runs each for a moment (test_fuzzing.py), `make stress` for longer, there also guided by coverage
(tests/stress/guided.py). registry.py lists them.
"""
