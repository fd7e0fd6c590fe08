"""Throughput, latency and fidelity of the read path, beside thumbor and a plain file; see comparison."""
