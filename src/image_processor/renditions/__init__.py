"""Stock: what lies in the two stores for one key, as ingest and delivery both look at it."""
