"""The storage, the tags and the checks against a running server, by Django's own test runner."""

import io
import json
import os
import time
import urllib.request
from html.parser import HTMLParser
from unittest import mock

from django.core import checks
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.migrations.writer import MigrationWriter
from django.template import Context, Template
from django.test import SimpleTestCase, TestCase, override_settings
from PIL import Image

from image_processor_client import Forbidden, NotFound, Refused
from image_processor_client.django import ImageProcessorStorage, rendering
from image_processor_client.django.checks import check_deployment, check_storages

from .models import Photo

BACKEND = "image_processor_client.django.ImageProcessorStorage"
OPTIONS = {"url": os.environ["IMAGES_URL"], "token": os.environ["IMAGES_TOKEN"]}


def jpeg(width=120, height=80, colour="teal"):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def opened(url, accept="image/webp,*/*"):
    """What a browser gets for a URL, as Pillow reads it."""
    request = urllib.request.Request(url, headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=60) as response:
        return Image.open(io.BytesIO(response.read()))


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def of(self, name):
        return [attributes for tag, attributes in self.found if tag == name]


class SiteTest(TestCase):
    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        default_storage.client.close()
        del default_storage.client

    def test_an_uploaded_photo_is_shown_in_every_size_that_the_page_offers(self):
        posted = SimpleUploadedFile("grüße & co.jpg", jpeg(), "image/jpeg")
        response = self.client.post("/", {"title": 'A "cat"', "image": posted}, follow=True)
        self.assertEqual(response.status_code, 200, response.content)
        page = Tags(response.content.decode())
        thumb, wide, fallback = page.of("img")
        self.assertEqual((thumb["alt"], thumb["class"], thumb["loading"]), ('A "cat"', "thumb", "lazy"))
        self.assertEqual((thumb["width"], thumb["height"]), ("30", "30"))
        sizes = [opened(part.split(" ")[0]).size for part in thumb["srcset"].split(", ")]
        self.assertEqual(sizes, [(30, 30), (60, 60)])
        self.assertEqual((wide["sizes"], wide["data-id"]), ("50vw", str(Photo.objects.get().pk)))
        sizes = [opened(part.split(" ")[0]).size for part in wide["srcset"].split(", ")]
        self.assertEqual(sizes, [(16, 11), (24, 16)])
        (source,) = page.of("source")
        image = opened(source["srcset"].split(", ")[1].split(" ")[0])
        self.assertEqual((image.format, image.size), ("WEBP", (30, 20)))
        self.assertEqual(opened(fallback["src"], accept="*/*").format, "JPEG")
        (meta,) = page.of("meta")
        self.assertEqual(opened(meta["content"]).size, (40, 20))
        (link,) = page.of("a")
        self.assertEqual(opened(link["href"]).size, (48, 32))

    def test_a_file_that_is_no_image_is_refused_by_the_form(self):
        posted = SimpleUploadedFile("cat.jpg", b"no image", "image/jpeg")
        response = self.client.post("/", {"title": "x", "image": posted})
        self.assertEqual(response.status_code, 400)
        self.assertFalse(Photo.objects.exists())

    def test_the_file_of_a_model_is_replaced_and_deleted(self):
        photo = Photo.objects.create(title="x", image=ContentFile(jpeg(), "a.jpg"))
        first = photo.image.name
        photo.image.save("a.jpg", ContentFile(jpeg(colour="red")))
        self.assertNotEqual(photo.image.name, first)
        self.assertEqual(Photo.objects.get().image.size, len(jpeg(colour="red")))
        with photo.image.open() as file:
            self.assertEqual(Image.open(file).size, (120, 80))
        photo.image.delete()
        self.assertFalse(default_storage.exists("photos/a_x.jpg"))
        self.assertTrue(default_storage.exists(first))


class StorageTest(SimpleTestCase):
    def setUp(self):
        self.storage = self.made()

    def made(self, **options):
        """A storage with a folder for this test alone."""
        storage = ImageProcessorStorage(**OPTIONS, prefix=f"{self.id()}/", **options)
        self.addCleanup(storage.client.close)
        return storage

    def save(self, name, body=None):
        return self.storage.save(name, ContentFile(jpeg() if body is None else body))

    def test_a_file_is_saved_opened_and_deleted(self):
        name = self.save("a/ü 1.jpg")
        self.assertEqual(name, "a/ü_1.jpg".replace("_", " "))
        self.assertTrue(self.storage.exists(name))
        with self.storage.open(name) as file:
            self.assertEqual(file.read(), jpeg())
            self.assertEqual(file.size, len(jpeg()))
        self.assertEqual(self.storage.size(name), len(jpeg()))
        self.storage.delete(name)
        self.assertFalse(self.storage.exists(name))
        self.storage.delete(name)
        for call in (self.storage.open, self.storage.size, self.storage.image):
            with self.assertRaises(FileNotFoundError):
                call(name)

    def test_a_taken_name_gets_another_also_if_it_is_taken_meanwhile(self):
        first = self.save("a.jpg")
        self.assertEqual(first, "a.jpg")
        self.assertRegex(self.save("a.jpg"), r"a_\w{7}\.jpg")
        self.assertRegex(self.storage._save("a.jpg", ContentFile(jpeg())), r"a_\w{7}\.jpg")

    def test_a_large_file_is_sent_in_parts(self):
        storage = self.made(resumable_bytes=len(jpeg()))
        sent = []
        for name in ("upload", "upload_resumable"):
            original = getattr(storage.client, name)
            patched = self.watch(sent, name, original)
            self.enterContext(mock.patch.object(storage.client, name, patched))
        self.assertEqual(storage.save("large.jpg", ContentFile(jpeg())), "large.jpg")
        self.assertEqual(storage.save("small.jpg", ContentFile(jpeg()[:-1])), "small.jpg")
        self.assertEqual(sent, ["upload_resumable", "upload"])
        with storage.open("large.jpg") as file:
            self.assertEqual(file.read(), jpeg())
        self.assertRegex(storage._save("large.jpg", ContentFile(jpeg())), r"large_\w{7}\.jpg")

    @staticmethod
    def watch(calls, name, function):
        def call(*values, **options):
            calls.append(name)
            return function(*values, **options)

        return call

    def test_a_file_of_another_server_is_imported_under_a_free_name(self):
        storage = self.made(wait=60)
        url = os.environ["IMAGES_SOURCE"] + "cat.jpg"
        self.assertEqual(storage.import_url(url, "a\\cat.jpg"), "a/cat.jpg")
        self.assertEqual(storage.size("a/cat.jpg"), len(jpeg()))
        self.assertRegex(storage.import_url(url, "a/cat.jpg"), r"a/cat_\w{7}\.jpg")
        with mock.patch.object(storage, "is_name_available", side_effect=[True, False, True]):
            self.assertRegex(storage.import_url(url, "a/cat.jpg"), r"a/cat_\w{7}\.jpg")
        self.assertEqual(self.made(overwrite=True).import_url(url, "a/cat.jpg"), "a/cat.jpg")
        with self.assertRaises(Forbidden):
            storage.import_url("https://elsewhere.example/cat.jpg", "b.jpg")
        with self.assertRaises(SuspiciousFileOperation):
            storage.import_url(url, "../b.jpg")

    def test_with_overwrite_a_name_is_kept(self):
        storage = self.made(overwrite=True)
        for colour in ("teal", "red"):
            self.assertEqual(storage.save("a.jpg", ContentFile(jpeg(colour=colour))), "a.jpg")
        with storage.open("a.jpg") as file:
            self.assertEqual(file.read(), jpeg(colour="red"))

    def test_a_folder_is_listed(self):
        for name in ("a.jpg", "b/c.jpg", "b/d/e.jpg"):
            self.made(wait=60).save(name, ContentFile(jpeg()))
        folders, files = self.storage.listdir("")
        self.assertEqual((folders, files), (["b"], ["a.jpg"]))
        folders, files = self.storage.listdir("b")
        self.assertEqual((folders, files), (["d"], ["c.jpg"]))

    def test_waiting_refuses_what_is_no_image(self):
        storage = self.made(wait=60)
        with self.assertRaises(Refused) as caught:
            storage.save("a.jpg", ContentFile(b"no image"))
        self.assertEqual(caught.exception.reason, "not-an-image")
        self.assertEqual(storage.size("a.jpg"), len(b"no image"))

    def test_times_have_a_zone_as_the_settings_say(self):
        storage = self.made(wait=60)
        name = storage.save("a.jpg", ContentFile(jpeg()))
        for call in (storage.get_created_time, storage.get_modified_time):
            self.assertLess(abs(call(name).timestamp() - time.time()), 3600)
            with override_settings(USE_TZ=False):
                self.assertIsNone(call(name).tzinfo)

    def test_no_name_leaves_the_prefix(self):
        for name in ("../a.jpg", "/a.jpg", "..", ""):
            with self.assertRaises(SuspiciousFileOperation):
                self.storage.key(name)
        self.assertEqual(self.storage.key("a\\b/../c.jpg"), f"{self.id()}/a/c.jpg")

    def test_only_reading_is_possible(self):
        with self.assertRaisesMessage(ValueError, "expected rb for mode, got 'wb'"):
            self.storage.open("a.jpg", "wb")

    def test_another_bucket_is_noticed(self):
        storage = self.made(bucket="another")
        with self.assertRaisesMessage(ImproperlyConfigured, "expected the upload bucket's name for bucket"):
            storage.save("a.jpg", ContentFile(jpeg()))

    def test_uploads_by_a_form_as_on_aws(self):
        storage = self.made(uploads="presigned", wait=60)
        self.assertEqual(storage.save("a.jpg", ContentFile(jpeg())), "a.jpg")
        self.assertEqual(storage.image("a.jpg").status, "processed")
        self.assertNotEqual(storage.save("a.jpg", ContentFile(jpeg())), "a.jpg")

    def test_it_can_be_in_a_migration(self):
        text, imports = MigrationWriter.serialize(ImageProcessorStorage(url="https://x.example"))
        self.assertEqual(text, f"{BACKEND}(url='https://x.example')")
        self.assertEqual(imports, {"import image_processor_client.django"})

    def test_a_wrong_token_is_no_missing_file(self):
        storage = ImageProcessorStorage(url=OPTIONS["url"], token="wrong")
        self.addCleanup(storage.client.close)
        with self.assertRaisesMessage(Exception, "401 unauthorized"):
            storage.exists("a.jpg")
        with self.assertRaises(NotFound):
            self.storage.client.get("nosuchid")


class TagsTest(SimpleTestCase):
    def rendered(self, tag, **context):
        return Template("{% load image_processor %}" + tag).render(Context(context))

    def test_a_key_is_one_of_the_first_storage(self):
        url = self.rendered('{% image_url "a.jpg" width=5 as url %}{{ url|safe }}')
        self.assertTrue(url.startswith(f"{OPTIONS['url']}/renditions/shop/a.jpg?w=5&kid=k1&s="), url)

    def test_without_parameters_it_is_the_url_of_the_storage(self):
        self.assertEqual(rendering.image_url("a.jpg"), default_storage.url("a.jpg"))

    def test_an_end_and_an_unsigned_url(self):
        self.assertIn(
            "&amp;expires=1900000000&amp;", self.rendered('{% image_url "a.jpg" w=5 expires=1900000000 %}')
        )
        self.assertTrue(self.rendered('{% image_url "a.jpg" w=5 signed=False %}').endswith("/shop/a.jpg?w=5"))

    def test_html_of_a_variable_is_escaped(self):
        html = self.rendered('{% image "a.jpg" width=5 alt=alt %}', alt='"><script>')
        self.assertIn('alt="&quot;&gt;&lt;script&gt;"', html)
        self.assertIn("&amp;kid=k1", html)

    def test_without_a_file_nothing_is_shown(self):
        photo = Photo(title="x")
        self.assertEqual(
            self.rendered("[{% image photo.image alt='' %}{% image_url photo.image %}]", photo=photo), "[]"
        )

    def test_mistakes_are_said(self):
        for tag, message in (
            ('{% image "a.jpg" width=5 %}', 'expected alt with what the image shows, or alt=""'),
            (
                '{% image "a.jpg" widths="a" alt="" %}',
                "expected numbers such as \"320 640\" for widths, got 'a'",
            ),
            (
                '{% image "a.jpg" w=5 original="3" alt="" %}',
                "expected width and height for original, got '3'",
            ),
            ('{% image_url "a.jpg" "widht=5" %}', "expected the name of a parameter"),
            ('{% image_url "a.jpg" using="staticfiles" %}', "expected a file of an ImageProcessorStorage"),
        ):
            with self.subTest(tag), self.assertRaisesMessage(ValueError, message):
                self.rendered(tag)
        with (
            override_settings(STORAGES={}),
            self.assertRaisesMessage(ValueError, "expected an ImageProcessorStorage"),
        ):
            self.rendered('{% image_url "a.jpg" %}')

    def test_the_height_follows_from_the_original(self):
        html = self.rendered('{% image "a.jpg" width=60 original="120 80" alt="" %}')
        self.assertIn('width="60" height="40"', html)


def storages_with(**options):
    return override_settings(STORAGES={"default": {"BACKEND": BACKEND, "OPTIONS": options}})


class ChecksTest(SimpleTestCase):
    def found(self):
        return {(item.id, item.msg) for item in check_storages(None)}

    def test_the_project_has_no_problem(self):
        self.assertEqual([item for item in checks.run_checks() if item.id.startswith("image_processor")], [])

    def test_every_wrong_option_is_said_and_the_storage_is_not_made(self):
        wrong = {
            "url": "img.example",
            "uploads": "ftp",
            "signing_key": "secret",
            "base_url": "img",
            "transformation": "widht=1",
            "tokn": "x",
        }
        with storages_with(**wrong):
            found = self.found()
            self.assertEqual({id_ for id_, _ in found}, {"image_processor.E001"})
            said = "\n".join(message for _, message in found)
            for name in wrong:
                self.assertIn(f"STORAGES['default']['OPTIONS']['{name}']: expected", said)
            self.assertNotIn("secret", said.replace("SECRET", "").replace("a secret of", ""))
        with self.assertRaisesMessage(
            ImproperlyConfigured, "uploads: expected direct or presigned, got 'ftp'"
        ):
            ImageProcessorStorage(**wrong)

    def test_a_storage_without_a_key_is_warned_of(self):
        with storages_with(url="https://x.example"):
            self.assertEqual([id_ for id_, _ in self.found()], ["image_processor.W001"])

    def test_a_token_without_tls_is_warned_of_in_production(self):
        for url, expected in (
            ("http://images.example", ["image_processor.W002"]),
            ("https://images.example", []),
            ("http://127.0.0.1:8000", []),
        ):
            with storages_with(url=url, token="t"):
                self.assertEqual([item.id for item in check_deployment(None)], expected)

    def test_a_backend_that_cannot_be_imported_is_left_to_django(self):
        with override_settings(STORAGES={"default": {"BACKEND": "no.such.Storage"}}):
            self.assertEqual(self.found(), set())

    def test_other_storages_are_left_alone(self):
        self.assertNotIsInstance(storages["staticfiles"], ImageProcessorStorage)
        self.assertEqual(json.loads(json.dumps(sorted(self.found()))), [])
