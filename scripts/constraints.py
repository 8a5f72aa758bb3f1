"""Write the versions of requirements.lock as a pip constraints file into the given folder; print its path.

Constraints take no hashes, so they are left out; versions and environment markers stay the locked ones.
"""

import re
import sys
from pathlib import Path

lock = Path("requirements.lock").read_text(encoding="utf-8")
pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(\s*;[^\\\n]+)?", lock, flags=re.MULTILINE)
target = Path(sys.argv[1]) / "constraints.txt"
target.write_text(
    "".join(f"{name}=={version}{marker.rstrip()}\n" for name, version, marker in pins), encoding="utf-8"
)
print(target)
