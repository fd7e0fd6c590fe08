from .netlify import Netlify
from .next_image import NextImage, VercelImage

__all__ = ["Netlify", "NextImage", "VercelImage"]
