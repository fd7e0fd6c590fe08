from .dialect import Imgix

__all__ = ["Imgix"]
