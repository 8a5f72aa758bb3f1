"""Pure statistics behind a verdict: numbers in, an outcome and its reasons out.

No input or output, no clock, no randomness. Only ``gonogo.model`` is known here. The claims these
modules make are reproduced by simulation in their tests and in ``benchmarks/verdict``.
"""
