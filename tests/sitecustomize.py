"""Imported by every Python process of the suite at its start: see network_audit.py."""

import os

if os.environ.get("EDGE_NETWORK_AUDIT"):
    from network_audit import watch

    watch(os.environ["EDGE_NETWORK_AUDIT"])
