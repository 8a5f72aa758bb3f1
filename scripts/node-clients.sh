#!/bin/sh
# Brings the MCP clients that are written for node into build/clients, once for each lock, so that tests can
# drive them. Versions and digests are in the lock; the machine's own npm configuration says where packages
# come from. Without npm their tests are skipped with the reason on a developer's machine and fail when CI=true.
set -eu
from="erlmcp/tests/clients/npm"
to="build/clients"

[ -f "$to/.installed" ] && cmp -s "$from/package-lock.json" "$to/package-lock.json" && exit 0
if ! command -v npm >/dev/null 2>&1; then
  echo "setup: npm is not installed, so the tests of clients written for node are skipped" >&2
  exit 0
fi
echo "setup: installing the clients written for node into $to (half a minute the first time)" >&2
rm -rf "$to"
mkdir -p "$to"
cp "$from/package.json" "$from/package-lock.json" "$to/"
if (cd "$to" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error); then
  touch "$to/.installed"
elif [ "${CI:-}" = true ]; then
  exit 1
else
  echo "setup: npm could not bring them, so their tests are skipped" >&2
fi
