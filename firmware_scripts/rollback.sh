#!/bin/sh
# /opt/edge/rollback.sh [--old-journal]: back to the version before the last update, as root. No caller is refused.
# --old-journal: where that version cannot read today's journal, take the one from before the update. Images that came
# since are found in the spool and analysed again; results that were sent since are sent again, byte for byte.
set -eu

say() {
    printf '%s\n' "edge: $*" >&2
}

refuse() {
    say "$*"
    exit 1
}

backup=/opt/edge/before-update.edgebackup
config=/etc/edge/edge.toml
case ${1:-} in '' | --old-journal) ;; *) refuse "usage: rollback.sh [--old-journal]" ;; esac
[ "$(id -u)" -eq 0 ] || refuse "run this as root: sudo $0"
previous=$(readlink -f /opt/edge/previous || :)
[ -e "$previous/complete" ] || refuse "there is no earlier version here"

if [ "$(cat /opt/edge/role)" = relink ] || "$previous/bin/edge" jobs list --config "$config" >/dev/null 2>&1; then
    sh "$previous/share/activate.sh"
elif [ -e "$backup" ] && [ "${1:-}" = --old-journal ]; then
    sh "$previous/share/activate.sh" --journal "$backup"
else
    refuse "the earlier version cannot read the journal of this one: rollback.sh --old-journal (see there)"
fi
say "running: $(/opt/edge/venv/bin/edge --version)"
