"""The table: what each room can do. Everything else that acts/ tries must be refused."""

LEAST = 160
ALLOWED: dict[str, set[str]] = {"receive": set(), "infer": set(), "worker": set(), "deliver": set()}
NOT_SHOWN_HERE: set[str] = set()
