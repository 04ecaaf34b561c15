#!/bin/sh
# ./firmware_scripts/uninstall.sh [--purge]: take the box off this machine, as root.
# Without --purge the data, the keys and the configuration stay, and a new installation goes on with them.
# --purge also removes them, and the users: what was received and not yet delivered can never be read again.
set -eu

purge=''
case ${1:-} in
    '') ;;
    --purge) purge=yes ;;
    *) echo "usage: uninstall.sh [--purge]" >&2 && exit 1 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "edge: run this as root: sudo $0" >&2 && exit 1; }

units=/etc/systemd/system
names='edge-receive.socket edge-deliver.socket edge-metrics.socket edge-relink.socket
    edge-receive.service edge-infer.service edge-deliver.service edge-metrics.service edge-relink.service edge.target'
# shellcheck disable=SC2086 # a list of names
for unit in $names; do # one by one: some are not there
    systemctl -q disable --now "$unit" 2>/dev/null || :
    rm -rf "${units:?}/$unit" "${units:?}/$unit.d"
done
rm -rf "${units:?}/edge-.service.d" /etc/tmpfiles.d/edge.conf /opt/edge /usr/local/bin/edge
systemctl daemon-reload

if [ -n "$purge" ]; then
    # the slots first: without them nothing that a disk still holds can be opened
    [ ! -f /var/lib/edge/spool/slots ] || shred -n 1 /var/lib/edge/spool/slots
    rm -rf /var/lib/edge /var/lib/edge-relink /etc/edge /etc/sysusers.d/edge.conf
    for user in edge-receive edge-infer edge-deliver edge-metrics edge-relink; do
        userdel "$user" 2>/dev/null || :
    done
    for group in edge edge-spool; do
        groupdel "$group" 2>/dev/null || :
    done
    echo "edge: removed, with all data" >&2
else
    echo "edge: removed; /var/lib/edge and /etc/edge stay (--purge removes them)" >&2
fi
