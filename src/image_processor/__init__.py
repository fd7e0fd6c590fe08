"""Serverless image processing: an upload becomes renditions by one pure plan."""

__version__ = "0.1.0"
