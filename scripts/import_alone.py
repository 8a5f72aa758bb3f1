"""Import every module of one distribution, and prove that the other one is not there."""

import importlib.util
import pkgutil
import sys

name = sys.argv[1]
other = {"erlmcp": "gonogo", "gonogo": "erlmcp"}[name]
if importlib.util.find_spec(other) is not None:
    sys.exit(f"{other} is importable where only {name} was installed")
NEEDS = {
    "erlmcp.dispatch.compiled_fastmcp": "fastmcp",
    "erlmcp.dispatch.fastmcp_private": "fastmcp",
}
"""Imported only where an optional package is there; without it they must fail for that alone."""

package = __import__(name)
count = 0
for module in pkgutil.walk_packages(package.__path__, prefix=f"{name}."):
    if not module.name.endswith("__main__") and ".migrations." not in module.name:  # Alembic runs those
        try:
            __import__(module.name)
        except ModuleNotFoundError as missing:
            if missing.name != NEEDS.get(module.name):
                raise
        count += 1
print(f"{name}: {count} modules import alone")
