"""The engine room: bytes and transformations in, bytes and facts out.

It is the only importer of pyvips and knows nothing of keys, stores or HTTP. In order of the
flow: runtime (make libvips safe), structure and probe (judge the header), geometry (what goes
where), decode, steps, encode, look, and render, which says it all in one function. isolation
runs render in a child process that may die without harm.
"""
