"""What the two stores hold for one key: shared by ingest and delivery."""
