"""Blobs: bytes in an object store, a local folder or one that speaks S3, under names that actors keep."""
