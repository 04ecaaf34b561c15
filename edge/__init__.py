"""Edge, an inference appliance for imaging devices. The README is the map."""

__version__ = "0.1.0"
