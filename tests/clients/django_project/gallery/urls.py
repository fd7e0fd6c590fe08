"""A form that uploads a photograph, and a page that shows it."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path

from .models import Photo


class PhotoForm(forms.ModelForm):
    class Meta:
        model = Photo
        fields = ("title", "image")


def upload(request: HttpRequest) -> HttpResponse:
    form = PhotoForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        return redirect("photo", form.save().pk)
    return HttpResponse(str(form), status=400)


def photo(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "photo.html", {"photo": get_object_or_404(Photo, pk=pk)})


urlpatterns = [path("", upload, name="upload"), path("<int:pk>", photo, name="photo")]
