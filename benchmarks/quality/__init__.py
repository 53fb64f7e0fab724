"""Translation quality on real spaces: the peers and us, on the same rows. `python -m benchmarks.quality --help`"""
