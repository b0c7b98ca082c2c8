"""Benchmarks: chatkit beside the raw libraries and beside what one would write by hand.

Run with ``python -m benchmarks NAME``. Everything is measured in one run, in turns, since only
ratios mean something on a machine that others use too.
"""
