from .dialect import Thumbor

__all__ = ["Thumbor"]
