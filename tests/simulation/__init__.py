"""A simulator of the system around the real ingest code. One seed is one history with all its faults."""
