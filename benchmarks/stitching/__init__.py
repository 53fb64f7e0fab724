"""Heads of one encoder on vectors of another: peers and us, over HTTP. `python -m benchmarks.stitching --help`"""
