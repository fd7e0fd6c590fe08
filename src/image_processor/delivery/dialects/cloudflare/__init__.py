from .dialect import Cloudflare

__all__ = ["Cloudflare"]
