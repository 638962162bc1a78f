"""The transport ``fsspec:`` of transship: OCI image layouts on any file system that fsspec knows."""
