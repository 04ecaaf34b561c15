#!/bin/sh
# activate.sh [--journal BACKUP]: make the release that this file lies in the one that runs, with its own units.
# install.sh, update.sh and rollback.sh call it. --journal: with the journal of that backup.
# The sockets are PID 1's and stay open: who calls meanwhile waits a moment longer.
set -eu
umask 022

here=$(dirname -- "$(readlink -f "$0")")
release=${here%/share}
config=/etc/edge/edge.toml
units=/etc/systemd/system
role=$(cat /opt/edge/role)
journal=''
[ "${1:-}" != --journal ] || journal=$2

case $role in
    relink)
        sockets=edge-relink.socket
        services=edge-relink.service
        target=''
        example=relink.toml
        ;;
    *)
        sockets='edge-receive.socket edge-deliver.socket'
        services='edge-infer.service edge-deliver.service edge-receive.service'
        target='edge.target edge-metrics.socket'
        example=edge.toml
        ;;
esac

# The release before stays beside, for rollback.sh.
switch() {
    before=$(readlink -f /opt/edge/venv 2>/dev/null || :)
    [ ! -e "$before/complete" ] || [ "$before" = "$release" ] || ln -sfn "$before" /opt/edge/previous
    ln -sfn "$release" /opt/edge/venv.new
    mv -T /opt/edge/venv.new /opt/edge/venv
    mkdir -p /usr/local/bin
    ln -sfn /opt/edge/venv/bin/edge /usr/local/bin/edge
    for script in update rollback support-bundle uninstall; do
        ln -sfn "venv/share/$script.sh" "/opt/edge/$script.sh"
    done
}

install_units() {
    cd "$here/systemd"
    install -D -m 644 sysusers.conf /etc/sysusers.d/edge.conf
    install -D -m 644 "$([ "$role" = relink ] && echo relink-tmpfiles.conf || echo tmpfiles.conf)" /etc/tmpfiles.d/edge.conf
    systemd-sysusers edge.conf
    systemd-tmpfiles --create edge.conf
    [ -e "$config" ] || install -D -m 644 "$example" "$config"
    # shellcheck disable=SC2086 # lists of names
    for unit in $sockets $services $target $([ "$role" = relink ] || echo edge-metrics.service); do
        install -D -m 644 "$unit" "$units/$unit"
    done
    install -D -m 644 edge-.service.d/10-sandbox.conf "$units/edge-.service.d/10-sandbox.conf"
    [ ! -e /opt/edge/gpu ] || install -D -m 644 gpu/30-gpu.conf "$units/edge-infer.service.d/30-gpu.conf"
    /opt/edge/venv/bin/edge config units "$units" --config "$config" >/dev/null
    systemctl daemon-reload
}

# What waits at the port may start receive between two tries; it ends by itself, for it cannot read the later journal.
bring_journal() {
    tries=20
    until /opt/edge/venv/bin/edge restore --replace --only-journal "$journal" --config "$config" >&2; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || exit 1
        sleep 0.5
    done
}

# While nothing reads it: keys and folders that are missing, the journal's schema, its modes.
renew_root() {
    # shellcheck disable=SC2086 # a list of names
    systemctl -q stop $services 2>/dev/null || :
    [ "$role" != relink ] || return 0
    [ -z "$journal" ] || bring_journal
    /opt/edge/venv/bin/edge init --config "$config" >&2
    systemd-tmpfiles --create edge.conf
}

# The sockets first: the port is open from here on, and stays open whatever happens to the rooms.
start() {
    first=${sockets%% *}
    # shellcheck disable=SC2086 # lists of names
    systemctl -q enable $sockets $services $target
    address=$(sed -n 's/^ListenStream=\(..*\)/\1/p' "$units/$first.d/50-config.conf")
    case $(systemctl show -p Listen --value "$first") in
        *"$address "*) ;; # already there; it is not closed for an update
        *) systemctl stop "$first" ;;
    esac
    # shellcheck disable=SC2086 # lists of names
    systemctl start $sockets
    # shellcheck disable=SC2086 # lists of names
    systemctl start $services $target
}

switch
install_units
renew_root
start
