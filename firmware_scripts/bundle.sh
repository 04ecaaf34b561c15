#!/bin/sh
# ./firmware_scripts/bundle.sh [--gpu] [--sign KEY.pem] OUT.tar: one file that installs the box where there is no network.
# It holds wheels for this machine's Python and processor (models are in ours), each as requirements/ has its digest, the
# scripts, the units, a bill of materials (CycloneDX) and SHA256SUMS.
# KEY.pem: Ed25519, by `openssl genpkey -algorithm ed25519`; install.sh checks it with the public one.
# The same checkout and wheels give the same bytes; SOURCE_DATE_EPOCH is the last commit's time unless it is set.
# WHEELS=FOLDER: take wheels from there instead of building and downloading.
set -eu
# shellcheck source=firmware_scripts/common.sh
. "$(dirname -- "$0")/common.sh"

extra=cpu key=''
while [ $# -gt 1 ]; do
    case $1 in
        --gpu) extra=gpu ;;
        --sign) key=$2 && shift ;;
        *) break ;;
    esac
    shift
done
case ${1:-} in '' | -*) refuse "usage: bundle.sh [--gpu] [--sign KEY.pem] OUT.tar" ;; esac
[ $# -eq 1 ] || refuse "usage: bundle.sh [--gpu] [--sign KEY.pem] OUT.tar"
[ -z "$key" ] || [ -r "$key" ] || refuse "the key cannot be read: $key"

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 315532800)}
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
bundle=$work/edge
mkdir -p "$bundle/wheels"

# Build our wheel and get those that it needs, each as a wheel: nothing is compiled where it is installed.
collect() {
    need gcc:cc
    locks=$root/firmware_scripts/requirements
    "$python" -m venv "$work/venv"
    pip="$work/venv/bin/python -m pip"
    say "building and downloading wheels"
    $pip install -q --require-hashes --only-binary :all: -r "$locks/build.txt" >&2 || refuse "pip failed: see above"
    # a copy, so that nothing built earlier in the checkout gets in
    mkdir "$work/source"
    (cd "$root" && tar -cf - --exclude=__pycache__ --exclude='*.so' --exclude='*.egg-info' \
        pyproject.toml setup.py README.md LICENSE edge kernels models) | tar -C "$work/source" -xf -
    $pip wheel -q --no-deps --no-build-isolation -w "$bundle/wheels" "$work/source" >&2 ||
        refuse "our wheel cannot be built: see above"
    $pip download -q --require-hashes --no-deps --only-binary :all: -d "$bundle/wheels" -r "$locks/$extra.txt" >&2 ||
        refuse "pip failed: see above"
}

python=$(find_python)
if [ -n "${WHEELS:-}" ]; then
    cp "$WHEELS"/*.whl "$bundle/wheels/"
else
    collect
fi
for script in install activate update rollback support-bundle uninstall; do
    cp "$root/firmware_scripts/$script.sh" "$bundle/"
done
cp "$root/LICENSE" "$bundle/"
cp -R "$root/firmware_scripts/systemd" "$bundle/systemd"
echo "$extra" >"$bundle/extra"
"$python" "$root/firmware_scripts/sbom.py" "$bundle/wheels" "$SOURCE_DATE_EPOCH" >"$bundle/sbom.cdx.json"
(cd "$bundle" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum) >"$work/sums"
mv "$work/sums" "$bundle/SHA256SUMS"
[ -z "$key" ] ||
    openssl pkeyutl -sign -rawin -inkey "$key" -in "$bundle/SHA256SUMS" -out "$bundle/SHA256SUMS.sig" ||
    refuse "the bundle cannot be signed: is $key an Ed25519 private key in PEM?"

tar -C "$work" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    --mtime="@$SOURCE_DATE_EPOCH" -cf "$work/bundle.tar" edge
mv "$work/bundle.tar" "$1"
sha256sum "$1"
