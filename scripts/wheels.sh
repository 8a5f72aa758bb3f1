#!/bin/sh
# Builds each distribution's wheel, installs it alone (with its own dependencies, locked by hash) into an
# empty environment and imports every module of it: proof that neither program needs the other.
set -eu
PYTHON="${PYTHON:-python3}"
VENV="${VENV:-.venv}"
out="build/wheels"
rm -rf "$out"
mkdir -p "$out"

for name in erlmcp gonogo; do
  "$VENV/bin/python" -m pip -qq --disable-pip-version-check wheel --no-deps --no-build-isolation -w "$out" "./$name"
  env="$out/env-$name"
  "$PYTHON" -m venv "$env"
  "$env/bin/python" -m pip -qq --disable-pip-version-check install --constraint "$("$VENV/bin/python" scripts/constraints.py "$out")" "$out/$name"-*.whl
  "$env/bin/python" scripts/import_alone.py "$name"
done
