"""Adapters of domain.ports.RemoteReader: files of web servers and of buckets.

`addresses` judges where a connection may go, `dialer` opens it to the very address that was judged,
`http_source` speaks HTTP over it.
"""
