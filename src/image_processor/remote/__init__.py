"""Adapters of domain.ports.RemoteReader: files of web servers and of buckets.

`addresses` decides where a connection may go, `dialer` opens it to the very address that was checked,
`http_source` speaks HTTP over it.
"""
