"""Signed HTTP requests to AWS APIs, without an SDK: each module says what an SDK would cost."""
