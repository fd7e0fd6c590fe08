"""For Django: a storage whose files are originals of image-processor, and template tags that show renditions.

`INSTALLED_APPS` has `image_processor_client.django`, for the template tags and the system checks; `STORAGES`
has the storage with its options (`options.StorageOptions`).
"""

from .storage import ImageProcessorStorage

__all__ = ["ImageProcessorStorage"]
