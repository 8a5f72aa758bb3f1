"""Looking after a release that already serves: samples, baseline, safety limits, live verdict.

Above ``journal`` and ``analysis``, below ``deploy``. It reads production through ``watch.reader`` and
changes nothing there; acting on a verdict is ``deploy``.
"""
