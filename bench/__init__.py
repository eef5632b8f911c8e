"""The benchmarks: the hub and its peers, each in a process of its own, under the same load client.

`python -m bench --help` lists the questions. `docs/benchmarks.md` says how to read the answers.
"""
