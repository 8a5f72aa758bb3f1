#!/bin/sh
# Installs what tests drive and the lock does not hold: programs that come from the system's packages, when it
# may (Debian or Ubuntu, as root), sslyze and kubernetes-validate in environments of their own, and atheris. Without them the tests that
# need them are skipped with the reason on a developer's machine and fail when CI=true.
set -eu
VENV="${VENV:-.venv}"

# sslyze looks at our TLS from outside. It is AGPL and brings its own OpenSSL, so it stays a program beside ours
# and is never a dependency.
SSLYZE=build/sslyze
if ! [ -x "$SSLYZE/bin/sslyze" ] && ! command -v sslyze >/dev/null 2>&1; then
  echo "setup: installing sslyze into $SSLYZE for the tests" >&2
  { "$VENV/bin/uv" venv --quiet --allow-existing --python "$VENV/bin/python" "$SSLYZE" &&
    "$VENV/bin/python" -m pip --python "$SSLYZE/bin/python" -qq --disable-pip-version-check \
      install --require-hashes --no-deps -r scripts/sslyze.lock; } ||
    echo "setup: not installed, so its tests are skipped: sslyze" >&2
fi

# kubernetes-validate holds the schemas of Kubernetes, 100 MB of them: only for tests, beside our environment.
KUBERNETES=build/kubernetes-validate
if ! [ -x "$KUBERNETES/bin/kubernetes-validate" ]; then
  echo "setup: installing kubernetes-validate into $KUBERNETES for the tests" >&2
  { "$VENV/bin/uv" venv --quiet --allow-existing --python "$VENV/bin/python" "$KUBERNETES" &&
    "$VENV/bin/python" -m pip --python "$KUBERNETES/bin/python" -qq --disable-pip-version-check \
      install --require-hashes --no-deps -r scripts/kubernetes-validate.lock; } ||
    echo "setup: not installed, so its tests are skipped: kubernetes-validate" >&2
fi

# atheris guides the fuzzers by coverage. Only for tests, and there is not one for every Python.
if ! "$VENV/bin/python" -c "import atheris" >/dev/null 2>&1; then
  echo "setup: installing atheris for the tests" >&2
  "$VENV/bin/python" -m pip -qq --disable-pip-version-check install --require-hashes --no-deps \
    --only-binary :all: -r fuzz/requirements.lock ||
    echo "setup: not installed, so its tests are skipped: atheris" >&2
fi

missing=""
need() { # need PROGRAM PACKAGE
  command -v "$1" >/dev/null 2>&1 || [ -x "$1" ] || missing="$missing $2"
}
need ssh-keygen openssh-client
need git git
need npm npm
need openssl openssl
need promtool prometheus
need amtool prometheus-alertmanager
need redis-server redis-server
need /usr/sbin/haproxy haproxy
need systemd-analyze systemd
need ip iproute2
need chromium chromium
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"

[ -n "$missing" ] || exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "setup: installing$missing for the tests" >&2
  policy=/usr/sbin/policy-rc.d # packages of servers would start them; the tests start their own
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  apt-get update -qq >/dev/null
  # shellcheck disable=SC2086  # a list of package names
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "setup: not installed, so their tests are skipped:$missing" >&2
fi
