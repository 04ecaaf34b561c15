# Shared by demo.sh and test.sh: what this machine must have, and the virtual environment.
# Sourced, not run. Sets: root (the checkout).
# shellcheck shell=sh

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
os_release=${EDGE_OS_RELEASE:-/etc/os-release}

# These would send pip's work somewhere else than the virtual environment.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV PYTHONSTARTUP
export PIP_DISABLE_PIP_VERSION_CHECK=1 ORT_DISABLE_TELEMETRY=1

say() {
    printf '%s\n' "edge: $*" >&2
}

refuse() {
    say "$*"
    exit 1
}

# Whether this is a system that the scripts know: Debian 12 or newer, Ubuntu 24.04 or newer.
is_known_system() {
    [ -r "$os_release" ] || return 1
    id=$(sed -n 's/^ID="\{0,1\}\([a-z]*\)"\{0,1\}$/\1/p' "$os_release")
    version=$(sed -n 's/^VERSION_ID="\{0,1\}\([0-9]*\).*/\1/p' "$os_release")
    case $id in
        debian) [ "${version:-13}" -ge 12 ] ;; # testing and sid have no VERSION_ID
        ubuntu) [ "${version:-0}" -ge 24 ] ;;
        *) return 1 ;;
    esac
}

# The first Python of at least 3.11 that can make virtual environments and build extensions; empty if none.
find_python() {
    for candidate in python3.11 python3.12 python3.13 python3.14 python3 /usr/bin/python3; do
        if "$candidate" - >/dev/null 2>&1 <<'PYTHON'; then
import ensurepip, os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(0 if sys.version_info >= (3, 11) and os.path.exists(header) else 1)
PYTHON
            printf '%s\n' "$candidate"
            return
        fi
    done
}

# What this machine lacks of: a Python, a C compiler, and the Debian packages given (by `package:command`, or `package:/a/file`).
missing() {
    [ -n "$(find_python)" ] || printf 'python3-venv python3-dev '
    command -v cc >/dev/null 2>&1 && [ -e /usr/include/stdio.h ] || printf 'gcc libc6-dev '
    for pair in "$@"; do
        command -v "${pair#*:}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair#*:}" ] || [ -f "${pair#*:}" ] || printf '%s ' "${pair%%:*}"
    done
}

# Make sure of everything that `missing` looks for, or say what an administrator must do.
need() {
    packages=$(missing "$@")
    [ -n "$packages" ] || return 0
    is_known_system || refuse "this is neither Debian 12+ nor Ubuntu 24.04+; install what is missing yourself:" \
        "$packages(names of Debian's packages; Python must be 3.11 or newer), then run this again"
    [ "$(id -u)" -eq 0 ] || refuse "an administrator must first run: sudo apt-get install ${packages% }"
    say "installing system packages: $packages"
    install_quietly "$packages"
    packages=$(missing "$@")
    [ -z "$packages" ] || refuse "still missing after the installation: $packages"
}

# apt-get install, without starting any service that a package brings (Orthanc's would take ports 4242 and 8042).
install_quietly() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    else
        policy=
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update >&2 || refuse "apt-get update failed: is there a network, and is no other apt running?"
    # shellcheck disable=SC2086 # a list of names
    apt-get -q install -y --no-install-recommends $1 >&2 || refuse "apt-get install failed: see above"
    case $1 in *orthanc*) command -v systemctl >/dev/null 2>&1 && systemctl -q disable orthanc >/dev/null 2>&1 ;; esac
    [ -z "$policy" ] || rm -f "$policy"
    trap - EXIT INT TERM
}

# What an installation depends on, as one number.
fingerprint() {
    (cd "$root" && cat pyproject.toml setup.py kernels/*.pyx kernels/*.h && "$1" --version) | cksum
}

# make_venv FOLDER EXTRAS: the checkout and its EXTRAS installed in FOLDER; nothing to do when they are already.
make_venv() {
    venv=$root/$1
    python=$(find_python)
    stamp=$venv/edge-$2.stamp
    "$venv/bin/python" -c 'import pip' >/dev/null 2>&1 || rm -rf "$venv"
    [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint "$python")" ] && [ -x "$venv/bin/edge" ] && return
    say "installing Python packages into $1 (minutes, the first time)"
    [ -d "$venv" ] || "$python" -m venv "$venv" || refuse "$python cannot make a virtual environment in $venv"
    "$venv/bin/python" -m pip install -q --retries 5 --timeout 60 -e "${root}[$2]" >&2 ||
        refuse "pip failed: see above; is the package index reachable?"
    fingerprint "$python" >"$stamp"
}
