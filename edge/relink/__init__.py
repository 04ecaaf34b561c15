"""The hospital-side gateway: puts the patient back on results that left the box without one."""
