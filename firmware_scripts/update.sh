#!/bin/sh
# /opt/edge/update.sh --bundle FILE [--key PUBLIC.pem] [--watch SECONDS]: the next version, as root, without a network.
# It is installed beside the one in use and tried there: the whole way of an image, this box's configuration, a copy of
# its journal. Then it is switched to and watched (60 s); what does not hold is rolled back. No caller is refused.
# Exit code 0: the new version runs. 1: the old one does, and the reason was said.
set -eu
umask 077

say() {
    printf '%s\n' "edge: $*" >&2
}

refuse() {
    say "$*"
    exit 1
}

bundle='' key='' seconds=60
while [ $# -gt 0 ]; do
    case $1 in
        --bundle) bundle=${2:?"--bundle needs a file"} && shift ;;
        --key) key=${2:?"--key needs a file"} && shift ;;
        --watch) seconds=${2:?"--watch needs seconds"} && shift ;;
        *) refuse "usage: update.sh --bundle FILE [--key PUBLIC.pem] [--watch SECONDS]" ;;
    esac
    shift
done
[ -n "$bundle" ] || refuse "usage: update.sh --bundle FILE [--key PUBLIC.pem] [--watch SECONDS]"
[ "$(id -u)" -eq 0 ] || refuse "run this as root: sudo $0"
old=$(readlink -f /opt/edge/venv || :)
[ -e "$old/complete" ] || refuse "nothing is installed here: install.sh"
earlier=$(readlink /opt/edge/previous || :)

here=$(dirname -- "$(readlink -f "$0")")
config=/etc/edge/edge.toml
backup=/opt/edge/before-update.edgebackup
case $(cat /opt/edge/role) in
    relink) services=edge-relink.service ;;
    *) services='edge-infer.service edge-deliver.service edge-receive.service' ;;
esac
exec 9>/opt/edge/update.lock
flock -n 9 || refuse "another update is running"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# The whole main job on loopback, as a user who may nothing, in an empty network.
try_alone() {
    systemd-run --quiet --wait --collect --pipe -p User=edge-metrics -p PrivateNetwork=yes -p PrivateTmp=yes \
        -p NoNewPrivileges=yes -p ProtectSystem=strict -p ProtectHome=yes -p WorkingDirectory=/tmp -p RuntimeMaxSec=300 \
        "$new/bin/edge" demo </dev/null >"$work/said" 2>&1 && return
    cat "$work/said" >&2
    refuse "the new version fails its self-test; nothing was changed"
}

# This box's own configuration, and its journal brought up to the new schema in a copy of it.
try_on_copies() {
    "$new/bin/edge" config check --config "$config" >&2 ||
        refuse "the new version does not take /etc/edge/edge.toml; nothing was changed"
    [ "$services" != edge-relink.service ] || return 0
    rm -f "$backup"
    "$old/bin/edge" backup "$backup" --config "$config" >&2 || refuse "no backup could be made; nothing was changed"
    printf '[box]\nroot = "%s/root"\n' "$work" >"$work/edge.toml"
    if ! "$new/bin/edge" restore "$backup" --only-journal --config "$work/edge.toml" >/dev/null ||
        ! "$new/bin/edge" audit verify --config "$work/edge.toml" >/dev/null; then
        refuse "the new version cannot take over the journal; nothing was changed"
    fi
}

# What doctor finds wrong, by name: only what was not wrong before counts against the new version.
failures() {
    [ "$services" != edge-relink.service ] || return 0
    /opt/edge/venv/bin/edge doctor --config "$config" 2>/dev/null | sed -n 's/^FAIL  \(.\{22\}\).*/\1/p' | sort || :
}

# How often PID 1 restarted each. A bell or a caller may start a room before the journal is ready for it: that does not
# count, what comes after does.
states() {
    # shellcheck disable=SC2086 # a list of names
    systemctl show -p Id,ActiveState,NRestarts $services
}

are_up() {
    states >"$work/now"
    if grep -q 'ActiveState=[^a]\|ActiveState=activating' "$work/now" || ! cmp -s "$work/now" "$work/states"; then
        say "a room does not stay up:" "$(tr '\n' ' ' <"$work/now")"
        return 1
    fi
}

is_healthy() {
    states >"$work/states"
    while [ "$seconds" -gt 0 ]; do
        are_up || return 1
        sleep 1
        seconds=$((seconds - 1))
    done
    failures >"$work/after"
    comm -13 "$work/before" "$work/after" >"$work/new"
    if [ -s "$work/new" ]; then
        say "doctor now finds wrong:" "$(cat "$work/new")"
        return 1
    fi
    are_up
}

new=$(sh "$here/install.sh" --stage --bundle "$bundle" ${key:+--key "$key"})
[ "$new" != "$old" ] || refuse "this is the version that runs already; nothing was changed"
try_alone
try_on_copies
failures >"$work/before"
say "switching from $("$old/bin/edge" --version) to $("$new/bin/edge" --version)"
if sh "$new/share/activate.sh" && is_healthy; then
    for each in /opt/edge/releases/*; do
        case $each in "$old" | "$new") ;; *) [ ! -e "$each/complete" ] || rm -rf "$each" ;; esac
    done
    say "the new version runs; /opt/edge/rollback.sh goes back"
else
    say "the new version does not hold: going back"
    ln -sfn "$old" /opt/edge/previous
    sh "$here/rollback.sh" --old-journal
    rm /opt/edge/previous # not the one that did not hold
    [ -z "$earlier" ] || ln -s "$earlier" /opt/edge/previous
    refuse "the version from before runs again; the new one is in $new"
fi
