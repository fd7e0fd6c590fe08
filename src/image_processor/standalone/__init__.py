"""What one machine has in place of AWS services: a watched directory (S3 events), worker threads and
their queue (SQS, Lambda), a render pool, a bounded cache of renditions, and live progress.
"""

BUCKET = "uploads"
"""The name of a machine's one upload side, where AWS has the name of a bucket."""

RENDITIONS_PATH = "/renditions"
"""The URL path under which the server serves renditions."""
