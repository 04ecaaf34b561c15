"""Which patients the native network never learned from."""

SEED = 20260219
VALIDATION_SHARE = 0.12
