"""Stress runs: tens of thousands of calls, each cancelled at a moment chosen to be awkward.

`stress` makes and cancels the calls, `receives` and `sends` hold what is called and keep the
books, `run` is what a process of its own runs.
"""
