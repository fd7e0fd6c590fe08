from .dialect import Cloudinary

__all__ = ["Cloudinary"]
