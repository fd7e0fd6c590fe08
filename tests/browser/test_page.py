"""The web page in a real browser with the real server."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import skimage
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import Site, serving
from test_library import card, delete_held, png
from timers import hold_timers
from transfers import drop, drop_from_disk, paste
from windows import Open

from support.chromium import in_both_schemes
from support.waiting import wait_for

PHOTOS = Path(skimage.__file__).parent / "data"
COFFEE = PHOTOS / "coffee.png"
TIMES = "\u00a0\u00d7\u00a0"


def test_a_dropped_image_gets_renditions_that_open(page: Page, site: Site) -> None:
    expect(page.locator("#empty")).to_be_visible()
    drop(page, ("coffee.png", COFFEE.read_bytes()))
    shown = page.locator('.card[data-key="coffee.png"]')
    expect(shown).to_have_attribute("data-status", "processed")
    expect(shown).to_contain_text("10\u00a0renditions")
    expect(shown.locator(".picture.loaded img")).to_be_visible()
    expect(page.locator("#toast")).to_contain_text("coffee.png is ready")

    shown.locator("a").click()
    rows = page.locator(".renditions tbody tr")
    expect(rows).to_have_count(10)
    (image,) = site.api.get("/images").json()["images"]
    links = set(rows.locator("a").evaluate_all("links => links.map((link) => link.getAttribute('href'))"))
    assert links == {rendition["url"] for rendition in image["renditions"]}
    for rendition in image["renditions"]:
        opened = page.goto(rendition["url"])
        assert opened is not None
        assert opened.headers["content-type"] == rendition["media_type"]
        size = page.evaluate("[document.images[0].naturalWidth, document.images[0].naturalHeight]")
        assert size == [rendition["width"], rendition["height"]]


def test_several_chosen_files_each_get_a_card(page: Page) -> None:
    chosen = [COFFEE, PHOTOS / "rocket.jpg", PHOTOS / "chelsea.png"]
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files(chosen)
    for file in chosen:
        expect(page.locator(f'.card[data-key="{file.name}"]')).to_have_attribute("data-status", "processed")
    expect(page.locator("#state-text")).to_have_text("Up to date")


def test_an_empty_library_offers_a_sample_and_shows_the_upload_directory(page: Page, site: Site) -> None:
    expect(page.locator("#directory")).to_have_text(str(site.data / "uploads"))
    page.get_by_role("button", name="Try a sample image").click()
    shown = page.locator('.card[data-key="sample.jpg"]')
    expect(shown).to_have_attribute("data-status", "processed")
    expect(shown.locator(".picture.loaded img")).to_be_visible()
    expect(page.locator("#empty")).to_be_hidden()


def test_a_file_copied_to_the_directory_appears(page: Page, site: Site) -> None:
    expect(page.locator("#empty")).to_be_visible()
    (site.data / "uploads" / "album").mkdir()
    shutil.copy(PHOTOS / "rocket.jpg", site.data / "uploads" / "album" / "rocket.jpg")
    expect(page.locator('.card[data-key="album/rocket.jpg"]')).to_have_attribute("data-status", "processed")


def test_a_refused_file_shows_the_reason_and_the_fix(page: Page) -> None:
    drop(page, ("notes.txt", b"just words"), ("empty.png", b""))
    shown = page.locator('.card[data-key="notes.txt"]')
    expect(shown).to_have_attribute("data-status", "refused")
    expect(shown).to_contain_text("This is not an image.")
    expect(page.locator('.card[data-key="empty.png"]')).to_contain_text("The file is empty.")
    shown.locator("a").click()
    expect(page.locator("#details .stage")).to_contain_text("Send a JPEG, PNG, WebP, AVIF, GIF or TIFF file")


def test_a_name_is_never_markup(page: Page) -> None:
    name = '<img src=x onerror="document.title=1">.png'
    drop(page, (name, COFFEE.read_bytes()))
    shown = page.locator(".card")
    expect(shown).to_have_attribute("data-status", "processed")
    expect(shown.locator(".name")).to_have_text(name)
    shown.locator("a").click()
    expect(page.locator("#details-name")).to_have_text(name)
    expect(page).to_have_title(f"{name} · Image processor")


def test_files_with_the_same_name_are_all_kept(page: Page, site: Site) -> None:
    """Two dropped together, a third one later, and a fourth while the page shows none of them."""
    bodies = {
        "album.new/a.png": COFFEE.read_bytes(),
        "album.new/a-2.png": (PHOTOS / "chelsea.png").read_bytes(),
        "album.new/a-3.png": b"words",
        "album.new/a-4.png": b"other words",
    }
    first, second, third, fourth = bodies.values()
    name = "album.new/a.png"
    expect(page.locator("#empty")).to_be_visible()
    drop(page, (name, first), (name, second))
    for key in list(bodies)[:2]:
        expect(page.locator(f'.card[data-key="{key}"]')).to_have_attribute("data-status", "processed")
    drop(page, (name, third))
    expect(page.locator('.card[data-key="album.new/a-3.png"]')).to_have_attribute("data-status", "refused")
    page.get_by_placeholder("Search by name").fill("nothing")
    expect(page.locator("#nothing")).to_be_visible()
    drop(page, (name, fourth))
    expect(page.locator("#toast")).to_contain_text("a-4.png was refused")
    stored = {key: (site.data / "uploads" / key).read_bytes() for key in bodies}
    assert stored == bodies
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".card")).to_have_count(4)


def test_pasted_images_are_named_by_their_time(page: Page) -> None:
    """A browser names each of them image.png; a copied file has its own name."""
    expect(page.locator("#empty")).to_be_visible()
    for body in (COFFEE, PHOTOS / "chelsea.png"):
        paste(page, ("image.png", body.read_bytes()))
    paste(page, ("rocket.png", b"words"))
    ready = page.locator('.card[data-status="processed"]')
    expect(ready).to_have_count(2)
    names = ready.evaluate_all("cards => cards.map((card) => card.dataset.key)")
    assert all(re.fullmatch(r"pasted-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d(-2)?\.png", name) for name in names)
    expect(page.locator('.card[data-key="rocket.png"]')).to_have_attribute("data-status", "refused")


def test_a_dropped_folder_keeps_its_paths(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "album"
    (folder / "day 1").mkdir(parents=True)
    shutil.copy(COFFEE, folder / "day 1" / "coffee.png")
    shutil.copy(PHOTOS / "rocket.jpg", folder / "rocket.jpg")
    (folder / ".hidden").write_bytes(b"words")
    expect(page.locator("#empty")).to_be_visible()
    drop_from_disk(page, folder, PHOTOS / "chelsea.png")
    for key in ("album/day 1/coffee.png", "album/rocket.jpg", "chelsea.png"):
        expect(page.locator(f'.card[data-key="{key}"]')).to_have_attribute("data-status", "processed")
    expect(page.locator(".card")).to_have_count(3)


def test_photos_of_a_camera_are_named_by_their_time(page: Page) -> None:
    """Telephones name each of them alike."""
    for photo in (COFFEE, PHOTOS / "chelsea.png"):
        file = {"name": "image.png", "mimeType": "image/png", "buffer": photo.read_bytes()}
        page.get_by_label("Photo to add").set_input_files([file])
    ready = page.locator('.card[data-status="processed"]')
    expect(ready).to_have_count(2)
    names = ready.evaluate_all("cards => cards.map((card) => card.dataset.key)")
    assert all(re.fullmatch(r"photo-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d(-2)?\.png", name) for name in names)


def test_a_file_without_renditions_in_the_recipe_says_so(page: Page) -> None:
    drop(page, ("Thumbs.db", b"words"))
    expect(page.locator('.card[data-key="Thumbs.db"]')).to_contain_text(
        "The recipe makes no renditions of this file."
    )


@pytest.mark.parametrize("width", [320, 1280])
def test_renditions_with_the_same_bytes_say_so(open_page: Open, site: Site, width: int) -> None:
    """The photo is 600 pixels wide: the widths 640, 1280 and 1920 all give 600, in both formats."""
    id_ = site.put("coffee.png", COFFEE.read_bytes())
    page = open_page(f"/#{id_}", width=width)
    result = page.locator(".renditions .made")
    expect(result).to_have_count(10)
    for at in range(10):
        expect(result.nth(at)).to_be_visible()
    texts = result.all_inner_texts()
    same = [text for text in texts if "same image: the original is no larger" in text]
    assert [text.split()[0] for text in same] == ["1280", "1920"] * 2


def test_a_failed_upload_says_that_it_is_tried_again(page: Page) -> None:
    event = {
        "type": "failed",
        "id": "a" * 26,
        "key": "a.png",
        "sequence": 1,
        "detail": {"error": "disk full"},
    }
    stream = f"event: ready\ndata: {{}}\n\nevent: failed\ndata: {json.dumps(event)}\n\n"
    page.route("**/events", lambda route: route.fulfill(content_type="text/event-stream", body=stream))
    page.reload()
    shown = page.locator('.card[data-key="a.png"]')
    expect(shown).to_contain_text("the next reconciliation tries again")
    expect(shown.locator(".work")).to_have_count(0)


def test_delete_can_be_undone_and_removes_everything(page: Page, site: Site) -> None:
    id_ = site.put("a/coffee.png", COFFEE.read_bytes())
    hold_timers(page)
    page.locator(".card a").click()
    page.locator("#delete").click()
    expect(page.locator("#details")).to_be_hidden()
    expect(page.locator("#empty")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".card")).to_have_count(1)
    assert site.api.get(f"/images/{id_}").status_code == 200

    page.locator(".card a").click()
    page.locator("#delete").click()
    expect(page.locator("#empty")).to_be_visible()
    delete_held(page, site.data / "uploads" / "a" / "coffee.png")
    wait_for(lambda: site.api.get(f"/images/{id_}").status_code == 404, "the deletion of the record")


LABELS = {
    "w=200,h=100,g=attention,fm=avif": "200 \u00d7 100, smart crop",
    "w=640,q=auto,fm=webp": "640 wide, quality auto",
    "rot=90,w=640,blur=3,over=text:a~2cb;size:48,fm=webp": (
        "640 wide, rot=90, blur=3, over=text:a~2cb;size:48"
    ),
    "fm=png": "original size",
}


def test_the_page_describes_a_whole_transformation(page: Page, site: Site) -> None:
    id_ = site.put("coffee.png", COFFEE.read_bytes())
    image = site.api.get(f"/images/{id_}").json()
    # Ever larger, so that the table keeps this order.
    image["renditions"] = [
        {**image["renditions"][0], "width": width, "sha256": str(width), "key": text, "transformation": text}
        for width, text in enumerate(LABELS)
    ]
    page.route(f"**/images/{id_}", lambda route: route.fulfill(json=image))
    page.goto(f"/#{id_}")
    expect(page.locator("#details .made")).to_have_text(list(LABELS.values()))


def test_the_details_show_palette_and_focus(page: Page, site: Site) -> None:
    id_ = site.put("coffee.png", COFFEE.read_bytes())
    page.goto(f"/#{id_}")
    image = site.api.get(f"/images/{id_}").json()
    facts = page.locator("#details .facts")
    x, y = (int(100 * part + 0.5) for part in image["focus"])  # as JavaScript rounds
    expect(facts).to_contain_text(f"{x}\u00a0% from the left, {y}\u00a0% from the top")
    expect(facts).to_contain_text(image["blurhash"])
    expect(facts.locator(".palette .swatch")).to_have_count(len(image["palette"]))
    expect(facts.locator(".palette .swatch").first).to_have_attribute("title", f"Copy {image['palette'][0]}")


def test_reprocessing_shows_the_new_renditions(open_page: Open, site: Site) -> None:
    id_ = site.put("coffee.png", COFFEE.read_bytes())
    page = open_page(f"/#{id_}")
    expect(page.locator("#details-name")).to_have_text("coffee.png")
    before = site.api.get(f"/images/{id_}").json()["updated_at"]
    page.get_by_role("button", name="Render again").click()
    expect(page.locator("#toast")).to_contain_text("coffee.png is ready")
    assert site.api.get(f"/images/{id_}").json()["updated_at"] > before


def test_a_new_version_of_a_file_shows_the_new_image(page: Page, site: Site) -> None:
    site.put("a.png", COFFEE.read_bytes())
    expect(page.locator(".card")).to_contain_text(TIMES.join(("600", "400")))
    site.put("a.png", (PHOTOS / "astronaut.png").read_bytes())
    expect(page.locator(".card")).to_contain_text(TIMES.join(("512", "512")))
    width = page.locator(".card img").evaluate(
        "(img) => img.decode().then(() => img.naturalWidth / img.naturalHeight)"
    )
    assert width == pytest.approx(1, abs=0.01)


def test_images_are_filtered_by_name_and_state(page: Page, site: Site) -> None:
    site.put_all({f"notes/{at:02}.txt": b"words %d" % at for at in range(12)})
    site.put("coffee.png", COFFEE.read_bytes())
    page.reload()
    expect(page.locator(".card")).to_have_count(13)
    page.locator(".choices").get_by_text("Ready").click()
    expect(page.locator(".card")).to_have_count(1)
    page.locator(".choices").get_by_text("Refused").click()
    expect(page.locator(".total")).to_have_text("12\u00a0images")
    page.get_by_placeholder("Search by name").fill("TES/1")
    expect(page.locator(".card")).to_have_count(2)
    page.reload()
    expect(page.get_by_placeholder("Search by name")).to_have_value("TES/1")
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_placeholder("Search by name").fill("nothing")
    expect(page.locator("#nothing")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".card")).to_have_count(13)


def test_the_page_reconnects_after_a_restart_of_the_server(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "data") as site:
        port = site.api.base_url.port
        page = browser.new_page()
        page.goto(site.url)
        expect(page.locator("#state-text")).to_have_text("Up to date")
    expect(page.locator("#state-text")).to_have_text("Connection lost, reconnecting")
    (tmp_path / "data" / "uploads" / "coffee.png").write_bytes(COFFEE.read_bytes())
    assert port is not None
    with serving(tmp_path / "data", port):
        expect(page.locator(".card")).to_have_attribute("data-status", "processed")
        expect(page.locator("#state-text")).to_have_text("Up to date")
        page.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_a_library_that_cannot_be_read_says_why_until_it_can(open_page: Open, site: Site, width: int) -> None:
    site.put("a.png", png())
    page = open_page("about:blank", width=width)
    problem = {"status": 503, "code": "unavailable", "detail": "The catalog is locked."}
    page.route("**/images?*", lambda route: route.fulfill(status=503, json=problem))
    page.goto("/")
    expect(page.get_by_role("alert")).to_contain_text("The images cannot be shown. The catalog is locked.")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("The catalog is locked.")
    assert page.locator(".toast").count() == 0
    page.unroute("**/images?*")
    page.get_by_role("button", name="Try again").click()
    expect(card(page, "a.png")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_page_can_be_used_by_keyboard(page: Page, site: Site) -> None:
    id_ = site.put("coffee.png", COFFEE.read_bytes())
    link = page.locator(".card a")
    expect(link).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("button", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_be_hidden()
    expect(link).to_be_focused()
    expect(page.locator(".toast")).to_have_count(0)
    site.api.post(f"/images/{id_}/reprocess")
    expect(page.locator("#toast")).to_contain_text("coffee.png is ready")
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_visible()


@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_fits_its_window_and_has_enough_contrast(open_page: Open, site: Site, width: int) -> None:
    """Nothing overflows to the side; text has the contrast of WCAG 2.2 AA (1.4.3): 4.5 to 1."""
    site.put("a-name-that-is-long-and-has-no-gaps-" * 3 + ".png", COFFEE.read_bytes())
    site.put("notes.txt", b"words")
    page = open_page(width=width)
    expect(page.locator(".card")).to_have_count(2)
    assert overflowing(page) == []
    assert in_both_schemes(page, low_contrast) == []
    for key in ("notes.txt", "a-name"):
        page.locator(f'.card[data-key^="{key}"] a').click()
        expect(page.locator("#details")).to_be_visible()
        assert overflowing(page) == []
        assert in_both_schemes(page, low_contrast) == []
        page.keyboard.press("Escape")


def overflowing(page: Page) -> list[str]:
    found: list[str] = (
        page.evaluate("""() => [document.documentElement, document.querySelector("#details") ?? document.body]
        .filter((item) => item.scrollWidth > item.clientWidth).map((item) => item.tagName)""")
    )
    return found


def low_contrast(page: Page) -> list[str]:
    """Texts whose colour is too close to their background."""
    found: list[str] = page.evaluate("""() => {
        const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const rgba = (colour) => {
            canvas.clearRect(0, 0, 1, 1);
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            return canvas.getImageData(0, 0, 1, 1).data;
        };
        const luminance = (colour) => [...rgba(colour)].slice(0, 3)
            .map((value) => value / 255)
            .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
            .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
        const behind = (element) => {
            for (let item = element; item; item = item.parentElement) {
                const colour = getComputedStyle(item).backgroundColor;
                if (rgba(colour)[3] === 255) return colour;
            }
            return "white";
        };
        const isText = (element) => element.checkVisibility({ opacityProperty: true })
            && [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
        const root = document.querySelector("dialog[open]") ?? document.body;
        return [...root.querySelectorAll("*")].filter(isText).flatMap((element) => {
            const [first, second] = [getComputedStyle(element).color, behind(element)].map(luminance);
            const ratio = (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05);
            return ratio < 4.5 ? [`${element.tagName}.${element.className} ${ratio.toFixed(2)}`] : [];
        });
    }""")
    return found


def test_a_placeholder_looks_like_its_image(page: Page, site: Site, tmp_path: Path) -> None:
    """The ThumbHash of the engine, decoded by the page, has the shape and colours of the image."""
    drawn = Image.new("RGB", (300, 200))
    for x in range(300):
        for y in range(200):
            drawn.putpixel((x, y), (40 + x // 2, 120, 200 - y // 2))
    drawn.save(tmp_path / "drawn.png")
    id_ = site.put("drawn.png", (tmp_path / "drawn.png").read_bytes())
    page.route("**/renditions/**", lambda route: route.abort())
    page.reload()
    decoded = page.locator(f'.card a[href="#{id_}"] canvas').evaluate(
        """async (canvas) => {
            while (canvas.width !== 32) await new Promise(requestAnimationFrame); // 300 until it is drawn
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return { width, height, pixels: [...data] };
        }"""
    )
    width, height = decoded["width"], decoded["height"]
    assert width == 32
    assert width / height == pytest.approx(1.5, abs=0.3)
    small = drawn.resize((width, height), Image.Resampling.BOX).convert("RGBA").tobytes()
    errors = [abs(expected - got) for expected, got in zip(small, decoded["pixels"], strict=True)]
    assert sum(errors) / len(errors) < 8
    assert max(errors) < 40
