#!/bin/sh
# Installs the programs that tests drive and that come from the system's packages, when it may
# (Debian or Ubuntu, as root). Without them the tests that need them are skipped with the reason on a
# developer's machine and fail when CI=true.
set -eu

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
