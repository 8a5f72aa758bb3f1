#!/bin/sh
# Brings what tests drive that is written for node into build/, once for each lock: MCP clients, and what looks at
# the dashboard in a browser. Versions and digests are in the locks; the machine's own npm configuration says where
# packages come from. Without npm their tests are skipped with the reason on a developer's machine and fail when
# CI=true.
set -eu

bring() { # bring FOLDER-OF-THE-LOCK TARGET WHAT
  [ -f "$2/.installed" ] && cmp -s "$1/package-lock.json" "$2/package-lock.json" && return 0
  echo "setup: installing $3 into $2 (half a minute the first time)" >&2
  rm -rf "$2"
  mkdir -p "$2"
  cp "$1/package.json" "$1/package-lock.json" "$2/"
  if (cd "$2" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error); then
    touch "$2/.installed"
  elif [ "${CI:-}" = true ]; then
    exit 1
  else
    echo "setup: npm could not bring $3, so their tests are skipped" >&2
  fi
}

if ! command -v npm >/dev/null 2>&1; then
  echo "setup: npm is not installed, so the tests of what is written for node are skipped" >&2
  exit 0
fi
bring erlmcp/tests/clients/npm build/clients "the clients written for node"
bring erlmcp/tests/admin/npm build/axe "axe-core"
