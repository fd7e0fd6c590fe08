"""The engine: bytes and transformations in, bytes and metadata out. The only importer of pyvips.

In the order of the flow: codecs.probe reads the header, operations.decode_plan and job plan, codecs.decode
and pyramid decode, operations.compose and codecs.encode finish; render is all of it in one function, and
worker.isolation runs that in a child process.
"""
