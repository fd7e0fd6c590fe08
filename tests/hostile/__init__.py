"""Hostile input, and what is done to keep it harmless. Everything is made when a test wants it."""
