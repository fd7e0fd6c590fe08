"""The settings of the project. The server's address and keys come from the environment."""

import os

SECRET_KEY = "for-tests-only"
DEBUG = False
ALLOWED_HOSTS = ["*"]
STATIC_URL = "static/"
ROOT_URLCONF = "gallery.urls"
USE_TZ = True
INSTALLED_APPS = ["image_processor_client.django", "gallery"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STORAGES = {
    "default": {
        "BACKEND": "image_processor_client.django.ImageProcessorStorage",
        "OPTIONS": {
            "url": os.environ["IMAGES_URL"],
            "token": os.environ["IMAGES_TOKEN"],
            "signing_key": os.environ["IMAGES_SIGNING_KEY"],
            "prefix": "shop/",
            "transformation": "w=48,fm=auto",
        },
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
