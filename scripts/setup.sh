#!/bin/sh
# Makes the virtual environment and installs the locked dependencies and the three projects into it.
# Needs Python 3.11 or newer and a package registry; touches nothing outside the repository.
set -eu
PYTHON="${PYTHON:-python3}"
VENV="${VENV:-.venv}"

fail() { printf 'error[setup.%s]: %s\nhelp: %s\n' "$1" "$2" "$3" >&2; exit 2; }

command -v "$PYTHON" >/dev/null 2>&1 ||
  fail no-python "no program named $PYTHON" "install Python 3.11 or newer, or run: make PYTHON=/path/to/python3"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail old-python "$("$PYTHON" --version) is too old; 3.11 or newer is needed" "run: make PYTHON=/path/to/python3.11"

if [ ! -x "$VENV/bin/python" ]; then
  if "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
    "$PYTHON" -m venv "$VENV"
  elif "$PYTHON" -m pip --version >/dev/null 2>&1; then
    "$PYTHON" -m venv --without-pip "$VENV"
    "$PYTHON" -m pip --python "$VENV/bin/python" install --quiet pip setuptools
  else
    fail no-venv "this Python has neither ensurepip nor pip" "on Debian and Ubuntu: apt-get install python3-venv"
  fi
fi

pip() { "$VENV/bin/python" -m pip -qq --disable-pip-version-check "$@"; }

echo "setup: installing locked dependencies into $VENV (a minute or two the first time)" >&2
# The lock is complete, so nothing is left to resolve; older pips also fail to match extras against hashes.
pip install --require-hashes --no-deps -r requirements.lock
pip install --no-deps --no-build-isolation -e erlmcp -e gonogo -e examples/notes
mismatches="$("$VENV/bin/python" -m pip --disable-pip-version-check check)" ||
  fail broken-lock "the locked dependencies do not fit together: $mismatches" "run: make lock"
