"""The Django application."""

from django.apps import AppConfig
from django.core import checks

from .checks import check_deployment, check_storages


class ImageProcessorConfig(AppConfig):
    """Registers the system checks; its templates and tags are found by Django."""

    name = "image_processor_client.django"
    label = "image_processor_client"
    verbose_name = "Image processor"

    def ready(self) -> None:
        checks.register(check_storages, checks.Tags.files)
        checks.register(check_deployment, checks.Tags.security, deploy=True)
