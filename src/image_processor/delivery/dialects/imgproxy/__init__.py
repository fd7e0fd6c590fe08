from .dialect import Imgproxy

__all__ = ["Imgproxy"]
