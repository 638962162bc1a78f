"""The sigstore plugin of transship."""
