"""The engine room: bytes and transformations in, bytes and facts out; the only importer of pyvips.

In order of the flow: runtime, structure (by tiff), memory, probe, geometry, job, decode, levels (by
steps), look, encode; render says it all in one function, isolation runs that in a child that may die.
"""
