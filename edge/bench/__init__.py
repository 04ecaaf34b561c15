"""Measurements of this machine against named peers, each always in the same run; `edge bench` prints them."""
