"""The one model: a photograph."""

from django.db import models


class Photo(models.Model):
    """A photograph with its title."""

    title = models.CharField(max_length=100)
    image = models.ImageField(upload_to="photos/", blank=True)

    def __str__(self) -> str:
        return self.title
