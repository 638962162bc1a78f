"""The openpgp plugin of transship."""
