"""A list of photos for everybody, and an upload for users who have signed in."""

from django.contrib.auth.mixins import LoginRequiredMixin
from django.forms import ModelForm
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.views.generic import CreateView, ListView

from image_processor_client import Refused

from .models import Photo


class PhotoList(ListView):
    model = Photo
    paginate_by = 24


class PhotoUpload(LoginRequiredMixin, CreateView):
    model = Photo
    fields = ("image", "title")
    success_url = reverse_lazy("photos")

    def form_valid(self, form: ModelForm) -> HttpResponse:
        form.instance.owner = self.request.user
        try:
            return super().form_valid(form)
        except Refused as refused:
            form.add_error("image", f"{refused.reason}: {refused.fix}")
            return self.form_invalid(form)
