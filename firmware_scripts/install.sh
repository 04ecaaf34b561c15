#!/bin/sh
# Install the box under systemd, as root. Safe to run again: keys, data and /etc/edge/edge.toml stay as they are.
#   ./firmware_scripts/install.sh                             from this checkout and the package index
#   ./install.sh --bundle FILE [--key PUBLIC.pem] [--gpu]     from a bundle, without a network
#   tar -xOf FILE edge/install.sh | sh -s -- --bundle FILE    the same in one line
# --key refuses a bundle that this Ed25519 key did not sign. --gpu lets the infer room see NVIDIA's devices.
set -eu
umask 022

say() {
    printf '%s\n' "edge: $*" >&2
}

refuse() {
    say "$*"
    exit 1
}

bundle='' key='' gpu=''
while [ $# -gt 0 ]; do
    case $1 in
        --bundle) bundle=${2:?"--bundle needs a file"} && shift ;;
        --key) key=${2:?"--key needs a file"} && shift ;;
        --gpu) gpu=yes ;;
        *) refuse "usage: install.sh [--bundle FILE] [--key PUBLIC.pem] [--gpu]" ;;
    esac
    shift
done

[ "$(id -u)" -eq 0 ] || refuse "run this as root: sudo $0"
[ -d /run/systemd/system ] || refuse "this machine does not run systemd; \`edge serve\` runs the box without it"
python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    refuse "Python 3.11 or newer is needed: apt-get install python3"

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

# Each set of wheels is installed once, in a folder named by its digest; /opt/edge/venv points to the one in use.
install_wheels() {
    release=/opt/edge/releases/$(sha256sum SHA256SUMS | cut -c1-16)
    if [ ! -e "$release/complete" ]; then
        say "installing into $release"
        rm -rf "$release"
        mkdir -p "${release%/*}"
        python3 -m venv --without-pip "$release"
        "$release/bin/python" -I "$(echo "$work"/edge/wheels/pip-*.whl)/pip" --isolated install -q --no-index --no-cache-dir \
            --disable-pip-version-check --root-user-action=ignore --find-links wheels \
            "edge-imaging[$(cat extra)]" >&2 || refuse "the wheels do not fit this machine (see above)"
        touch "$release/complete"
    fi
    ln -sfn "$release" /opt/edge/venv.new
    mv -T /opt/edge/venv.new /opt/edge/venv
    mkdir -p /usr/local/bin
    ln -sfn /opt/edge/venv/bin/edge /usr/local/bin/edge
}

# Users, folders, keys, journal. `edge init` leaves what is there as it is.
make_root() {
    install -D -m 644 systemd/sysusers.conf /etc/sysusers.d/edge.conf
    install -D -m 644 systemd/tmpfiles.conf /etc/tmpfiles.d/edge.conf
    systemd-sysusers edge.conf
    systemd-tmpfiles --create edge.conf
    [ -e /etc/edge/edge.toml ] || install -D -m 644 systemd/edge.toml /etc/edge/edge.toml
    /opt/edge/venv/bin/edge init --config /etc/edge/edge.toml >&2
    systemd-tmpfiles --create edge.conf
}

install_units() {
    units=/etc/systemd/system
    for unit in systemd/edge*.service systemd/edge*.socket systemd/edge.target; do
        install -D -m 644 "$unit" "$units/${unit##*/}"
    done
    install -D -m 644 systemd/edge-.service.d/10-sandbox.conf $units/edge-.service.d/10-sandbox.conf
    [ -z "$gpu" ] || install -D -m 644 systemd/gpu/30-gpu.conf $units/edge-infer.service.d/30-gpu.conf
    /opt/edge/venv/bin/edge config units $units --config /etc/edge/edge.toml >/dev/null
    systemctl daemon-reload
}

# The sockets first: the port is open from here on, and stays open whatever happens to the rooms.
start() {
    systemctl -q enable edge-receive.socket edge-deliver.socket \
        edge-receive.service edge-infer.service edge-deliver.service edge.target
    address=$(sed -n 's/^ListenStream=\(..*\)/\1/p' $units/edge-receive.socket.d/50-config.conf)
    case $(systemctl show -p Listen --value edge-receive.socket) in
        *"$address "*) ;; # already there; it is not closed for an update
        *) systemctl stop edge-receive.service edge-receive.socket ;;
    esac
    systemctl start edge-receive.socket edge-deliver.socket
    systemctl restart edge-infer.service edge-deliver.service edge-receive.service
    systemctl start edge.target
}

if [ -z "$bundle" ]; then
    bundle=$work/bundle.tar
    "$(dirname -- "$0")/bundle.sh" ${gpu:+--gpu} "$bundle" >/dev/null
fi
bundle=$(readlink -f "$bundle")
[ -z "$key" ] || key=$(readlink -f "$key")
unpack
install_wheels
make_root
install_units
start
say "installed. Now: edit /etc/edge/edge.toml, run this again, and look at \`edge doctor\` and \`edge status\`"
