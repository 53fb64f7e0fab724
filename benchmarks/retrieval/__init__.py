"""Collections beside peers; what a translation leaves of a search. `python -m benchmarks.retrieval --help`"""
