"""A seeded simulator round the real ingest code: one seed is one history, whatever goes wrong in it."""
