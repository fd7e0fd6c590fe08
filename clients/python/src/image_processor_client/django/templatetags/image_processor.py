"""`{% load image_processor %}`: `{% image photo.image width=640 alt="A cat" %}` and
`{% image_url photo.image width=640 %}`."""

from __future__ import annotations

from django import template

from image_processor_client.django import rendering

register = template.Library()
register.simple_tag(rendering.image)
register.simple_tag(rendering.image_url)
