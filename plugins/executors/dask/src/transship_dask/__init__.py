"""The Dask plugin of transship."""
