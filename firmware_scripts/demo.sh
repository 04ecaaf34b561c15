#!/bin/sh
# ./firmware_scripts/demo.sh [FILE...]: the main job on loopback, from a fresh machine to a printed report.
# FILE: DICOM, JPEG or PNG; none: a generated phantom. The first run installs what is missing.
set -eu
# shellcheck source=firmware_scripts/common.sh
. "$(dirname -- "$0")/common.sh"

need gcc:cc
make_venv .venv cpu
exec "$root/.venv/bin/edge" demo "$@"
