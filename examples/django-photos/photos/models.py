"""A photo of a user."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

MAX_BYTES = 10_000_000


def validate_size(file: models.fields.files.FieldFile) -> None:
    if file.size > MAX_BYTES:
        raise ValidationError(f"Expected at most {MAX_BYTES} bytes, got {file.size}.")


class Photo(models.Model):
    # No ImageField: it would open strangers' files in this process. The image processor decides about them.
    image = models.FileField(upload_to="photos/%Y/%m/", validators=[validate_size])
    title = models.CharField(max_length=100)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    added = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-added",)

    def __str__(self) -> str:
        return self.title
