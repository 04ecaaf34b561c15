#!/bin/sh
# Install the box under systemd, as root. Safe to run again: keys, data and /etc/edge/edge.toml stay as they are.
#   ./firmware_scripts/install.sh                             from this checkout and the package index
#   ./install.sh --bundle FILE [--key PUBLIC.pem] [--gpu]     from a bundle, without a network
#   tar -xOf FILE edge/install.sh | sh -s -- --bundle FILE    the same in one line
# --key refuses a bundle that this Ed25519 key did not sign, now and at every update (it is kept in /etc/edge/vendor.pem).
# --gpu lets the infer room see NVIDIA's devices. --relink installs the gateway instead, on a machine of its own.
# --stage only checks the bundle and installs its wheels beside those in use; it prints their folder (update.sh).
set -eu
umask 022

say() {
    printf '%s\n' "edge: $*" >&2
}

refuse() {
    say "$*"
    exit 1
}

bundle='' key='' gpu='' role='' stage=''
while [ $# -gt 0 ]; do
    case $1 in
        --bundle) bundle=${2:?"--bundle needs a file"} && shift ;;
        --key) key=${2:?"--key needs a file"} && shift ;;
        --gpu) gpu=yes ;;
        --relink) role=relink ;;
        --stage) stage=yes ;;
        *) refuse "usage: install.sh [--bundle FILE] [--key PUBLIC.pem] [--gpu] [--relink]" ;;
    esac
    shift
done

[ "$(id -u)" -eq 0 ] || refuse "run this as root: sudo $0"
[ -d /run/systemd/system ] || refuse "this machine does not run systemd; \`edge serve\` runs the box without it"
python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    refuse "Python 3.11 or newer is needed: apt-get install python3"
installed=$(cat /opt/edge/role 2>/dev/null || :)
[ "${role:-${installed:-box}}" = "${installed:-${role:-box}}" ] ||
    refuse "this machine is a $installed; the gateway needs a machine of its own"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Unpack into $work/edge: only what SHA256SUMS lists, every file as it says, signed by the key that was given.
unpack() {
    tar -C "$work" --no-same-owner -xf "$bundle" || refuse "this is not a bundle: $bundle"
    cd "$work/edge" || refuse "this is not a bundle: $bundle"
    if [ -n "$key" ]; then
        openssl pkeyutl -verify -rawin -pubin -inkey "$key" -in SHA256SUMS -sigfile SHA256SUMS.sig >/dev/null 2>&1 ||
            refuse "the bundle is not signed by $key; nothing was changed"
    fi
    [ -z "$(find . ! -type f ! -type d)" ] || refuse "the bundle holds links or devices; nothing was changed"
    find . -type f ! -name 'SHA256SUMS*' | LC_ALL=C sort >"$work/files"
    sed 's/^[0-9a-f]\{64\}  //' SHA256SUMS | cmp -s - "$work/files" ||
        refuse "the bundle's files are not those that it lists; nothing was changed"
    sha256sum --quiet --strict -c SHA256SUMS >&2 || refuse "the bundle is damaged; nothing was changed"
}

# Each set of wheels is installed once, in a folder named by its digest, with its own units and scripts in share/.
install_wheels() {
    release=/opt/edge/releases/$(sha256sum SHA256SUMS | cut -c1-16)
    [ ! -e "$release/complete" ] || return 0
    say "installing into $release"
    rm -rf "$release"
    mkdir -p "${release%/*}"
    python3 -m venv --without-pip "$release"
    "$release/bin/python" -I "$(echo "$work"/edge/wheels/pip-*.whl)/pip" --isolated install -q --no-index --no-cache-dir \
        --disable-pip-version-check --root-user-action=ignore --find-links wheels \
        "edge-imaging[$(cat extra)]" >&2 || refuse "the wheels do not fit this machine (see above)"
    mkdir "$release/share"
    cp -R systemd ./*.sh SHA256SUMS sbom.cdx.json "$release/share/"
    touch "$release/complete"
}

if [ -z "$bundle" ]; then
    bundle=$work/bundle.tar
    "$(dirname -- "$0")/bundle.sh" ${gpu:+--gpu} "$bundle" >/dev/null
fi
bundle=$(readlink -f "$bundle")
[ -n "$key" ] || [ ! -e /etc/edge/vendor.pem ] || key=/etc/edge/vendor.pem
[ -z "$key" ] || key=$(readlink -f "$key")
unpack
install_wheels
if [ -n "$stage" ]; then
    printf '%s\n' "$release"
    exit
fi
[ -n "$installed" ] || echo "${role:-box}" >/opt/edge/role
[ -z "$gpu" ] || touch /opt/edge/gpu
mkdir -p /etc/edge
[ -z "$key" ] || [ "$key" = /etc/edge/vendor.pem ] || install -m 644 "$key" /etc/edge/vendor.pem
sh "$release/share/activate.sh"
say "installed. Now: edit /etc/edge/edge.toml, run this again, and look at \`edge doctor\` and \`edge status\`"
