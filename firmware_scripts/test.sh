#!/bin/sh
# ./firmware_scripts/test.sh [--keras] [--boot] [PYTEST ARGUMENTS...]: everything that the tests need, then all checks.
# --keras (or CI=true) also runs the tests that need TensorFlow, in a virtual environment of their own (2.5 GB).
# --boot, as root, also installs the box on a Debian of its own, boots it, and attacks it (some ten minutes).
set -eu
# shellcheck source=firmware_scripts/common.sh
. "$(dirname -- "$0")/common.sh"

keras=${CI:-false} boot=false
while :; do
    case ${1:-} in
        --keras) keras=true ;;
        --boot) boot=true ;;
        *) break ;;
    esac
    shift
done
[ "$boot" = false ] || [ "$(id -u)" -eq 0 ] || refuse "--boot needs root: sudo ./firmware_scripts/test.sh --boot"

[ "$boot" = false ] || need debootstrap:debootstrap systemd-container:systemd-nspawn
need systemd:systemd-analyze dcmtk:storescu dicom3tools:dciodvfy orthanc:Orthanc strace:strace shellcheck:shellcheck \
    orthanc-dicomweb:/usr/share/orthanc/plugins/libOrthancDicomWeb.so
make_venv .venv cpu,test
cd "$root"
bin=$root/.venv/bin
status=0

check() {
    say "$*"
    "$@" >&2 || status=1
}

check "$bin/ruff" format --check .
check "$bin/ruff" check .
check "$bin/mypy"
check shellcheck --external-sources firmware_scripts/*.sh .ci/run

if [ "$keras" = true ]; then
    make_venv .venv-keras keras,test
    "$root/.venv-keras/bin/python" -m pytest -m keras || status=1
fi

if [ "$boot" = true ]; then
    "$bin/python" -m pytest -m boot tests/acceptance/boot || status=1
fi

"$bin/python" -m pytest --cov --cov-report=term:skip-covered "$@" || status=1
[ "$status" -eq 0 ] || say "failed: see above"
exit "$status"
