"""Binds the names of the three projects to their sources before pytest names test modules.

The folder ``gonogo/`` would otherwise be taken for the package ``gonogo`` when pytest imports
``gonogo/tests/...``, since both stand under the same name.
"""

import erlmcp
import gonogo
import notes

__all__ = ["erlmcp", "gonogo", "notes"]
