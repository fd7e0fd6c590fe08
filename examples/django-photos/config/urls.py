"""The addresses of the site."""

from django.contrib import admin
from django.urls import path
from photos.views import PhotoList, PhotoUpload

urlpatterns = [
    path("", PhotoList.as_view(), name="photos"),
    path("upload/", PhotoUpload.as_view(), name="upload"),
    path("admin/", admin.site.urls),
]
