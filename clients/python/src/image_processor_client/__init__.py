"""A client of image-processor: upload images, wait for their renditions, list and delete them, and write
signed URLs and HTML without a request.

`Client` and `AsyncClient` speak with the server. `UrlBuilder`, `srcset`, `img` and `picture` need none.
"""

from .async_client import AsyncClient
from .canonical import quote
from .client import Client
from .errors import (
    ApiError,
    Busy,
    ConnectionFailed,
    Forbidden,
    ImageProcessorError,
    InsufficientStorage,
    InvalidRequest,
    MissingExtra,
    NotFound,
    PreconditionFailed,
    Refused,
    ServerError,
    Skipped,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    WaitTimeout,
)
from .markup import Layout, img, picture, srcset
from .models import Image, Listing, Markup, OnDemandRendition, PresignedPost, Rendition, Upload
from .resumable import Progress
from .urls import SigningKey, UrlBuilder, image_id

__all__ = [
    "ApiError",
    "AsyncClient",
    "Busy",
    "Client",
    "ConnectionFailed",
    "Forbidden",
    "Image",
    "ImageProcessorError",
    "InsufficientStorage",
    "InvalidRequest",
    "Layout",
    "Listing",
    "Markup",
    "MissingExtra",
    "NotFound",
    "OnDemandRendition",
    "PreconditionFailed",
    "PresignedPost",
    "Progress",
    "Refused",
    "Rendition",
    "ServerError",
    "SigningKey",
    "Skipped",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "Upload",
    "UrlBuilder",
    "WaitTimeout",
    "image_id",
    "img",
    "picture",
    "quote",
    "srcset",
]
