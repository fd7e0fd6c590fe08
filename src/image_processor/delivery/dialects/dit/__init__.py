from .dialect import Dit

__all__ = ["Dit"]
