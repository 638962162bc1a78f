"""The oci-archive plugin of transship."""
