"""What one machine has in place of AWS services: a watched directory (S3 events), worker threads and
their queue (SQS, Lambda), a render pool, a bounded cache of renditions, and live progress.
"""
