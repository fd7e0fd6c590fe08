"""The site without an image processor: python manage.py test."""

from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase
from django.urls import reverse

from .models import MAX_BYTES, Photo


class Uploads(TestCase):
    def upload(self, body: bytes) -> Photo | None:
        """The photo that a form with ``body`` stores, in memory."""
        field = Photo._meta.get_field("image")
        before, field.storage = (
            field.storage,
            storages.create_storage({"BACKEND": "django.core.files.storage.InMemoryStorage"}),
        )
        self.addCleanup(setattr, field, "storage", before)
        file = SimpleUploadedFile("cat.jpg", body)
        self.response = self.client.post(reverse("upload"), {"image": file, "title": "A cat"})
        return Photo.objects.first()

    def test_a_user_uploads_a_photo(self) -> None:
        self.client.force_login(User.objects.create(username="anna"))
        photo = self.upload(b"the bytes of a cat")
        self.assertRedirects(self.response, reverse("photos"), fetch_redirect_response=False)
        self.assertEqual((photo.title, photo.owner.username), ("A cat", "anna"))
        self.assertEqual(photo.image.read(), b"the bytes of a cat")

    def test_nobody_else_does(self) -> None:
        self.assertIsNone(self.upload(b"the bytes of a cat"))
        self.assertIn("/admin/login/", self.response.url)

    def test_a_file_that_is_too_large_is_not_stored(self) -> None:
        self.client.force_login(User.objects.create(username="anna"))
        self.assertIsNone(self.upload(b"x" * (MAX_BYTES + 1)))
        self.assertContains(self.response, f"Expected at most {MAX_BYTES} bytes")


class Pages(TestCase):
    def test_the_list_shows_signed_renditions(self) -> None:
        owner = User.objects.create(username="anna")
        Photo.objects.create(image="photos/2026/11/cat.jpg", title="A <cat>", owner=owner)
        response = self.client.get(reverse("photos"))
        self.assertContains(response, 'alt="A &lt;cat&gt;"')
        self.assertContains(response, "/renditions/photos/2026/11/cat.jpg?w=320")
        self.assertContains(response, "&amp;s=")
