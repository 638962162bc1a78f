"""Many images at once: what to take from a source, what to call it at the destination, and the run itself."""
