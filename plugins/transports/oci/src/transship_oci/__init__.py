"""The oci plugin of transship."""
