"""What holds for every test process: names bound to their sources, signals as under a terminal, no hurry.

The folder ``gonogo/`` would otherwise be taken for the package ``gonogo`` when pytest imports
``gonogo/tests/...``, since both stand under the same name.
"""

import signal

from hypothesis import HealthCheck, settings

import erlmcp
import gonogo
import notes

__all__ = ["erlmcp", "gonogo", "notes"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Whoever starts the tests in the background has it ignored, in all that they start as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more of the machine and its other work than of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
