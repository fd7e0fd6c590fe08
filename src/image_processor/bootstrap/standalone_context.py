"""What the API of one machine works with, as `api.dependencies.StandaloneContext` describes it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from msgspec import Struct, field

from image_processor.api.hit_cache import LocalStores
from image_processor.config.recipe import Recipe, load_recipe
from image_processor.config.settings import Settings
from image_processor.delivery.read_path import Delivery
from image_processor.domain.errors import InvalidRecipe, InvalidSettings
from image_processor.domain.models import Outcome, Upload
from image_processor.domain.ports import Catalog, EventQueue, ObjectStore
from image_processor.engine.worker.decoded_files import DecodedCounts
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.standalone import BUCKET, RENDITIONS_PATH
from image_processor.standalone.activity import Activity
from image_processor.standalone.coordination import ALONE, Coordination
from image_processor.standalone.disk_space import DiskState, DiskStatus
from image_processor.standalone.live_recipe import LiveRecipe
from image_processor.standalone.live_settings import LiveSettings
from image_processor.standalone.progress import Progress
from image_processor.standalone.reconcile_loop import ReconcileReport
from image_processor.standalone.remote_originals import RemoteOriginals
from image_processor.standalone.render_coordinator import RenderCoordinator
from image_processor.standalone.resumable_uploads import ResumableUploads
from image_processor.standalone.storage_report import StorageCount
from image_processor.standalone.stored_responses import StoredResponses

if TYPE_CHECKING:
    from image_processor.api.metrics import Metrics


def build_metrics() -> Metrics:
    """What counts for Prometheus."""
    from image_processor.api.metrics import Metrics  # noqa: PLC0415 - commands do without its package

    return Metrics()


class StandaloneContext(Struct, frozen=True):
    """What the API of one machine works with."""

    settings: Settings
    live_recipe: LiveRecipe
    """The recipe, which may change."""
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    submit: Callable[[Upload], Future[Outcome]]
    """Queues an upload for the workers."""
    backlog: Callable[[], int]
    """Counts the keys that wait or are being processed."""
    progress: Progress
    delivery: Delivery
    """Finds stored renditions for URLs."""
    render_coordinator: RenderCoordinator
    """Has missing renditions rendered."""
    reconciler_for: Callable[[Recipe], MergingReconciler]
    resumable_uploads: ResumableUploads
    stored_responses: StoredResponses
    bucket: str = BUCKET
    renditions_url: str = RENDITIONS_PATH
    """The base URL of renditions."""
    events: EventQueue | None = None
    """The events that wait for the receiver of webhooks; None without a receiver."""
    local_stores: LocalStores | None = None
    """The stores, where they are on this machine."""
    data_trouble: Callable[[], str | None] = lambda: None
    disk_state: Callable[[], DiskState] = lambda: DiskState(DiskStatus.OK, 0)
    live_settings: LiveSettings | None = None
    reconcile_report: Callable[[], ReconcileReport] = ReconcileReport
    activity: Activity = field(default_factory=Activity)
    metrics: Metrics = field(default_factory=build_metrics)
    storage: Callable[[], StorageCount | None] = lambda: None
    coordination: Callable[[], Coordination] = lambda: ALONE
    remote: RemoteOriginals | None = None
    """Fetches originals from remote sources; None without any."""
    decoded: Callable[[], DecodedCounts] = DecodedCounts

    @property
    def recipe(self) -> Recipe:
        """The recipe in force."""
        return self.live_recipe.current

    def check_recipe(self, recipe: Recipe) -> None:
        """Raises InvalidRecipe for a recipe that this machine cannot render."""
        self.live_recipe.check(recipe)

    def reload_recipe(self) -> bool:
        """Read the recipe's file again and put it in force; False if that changes nothing.

        Raises InvalidRecipe, and then the earlier one stays in force, see `LiveRecipe.reload`.
        """
        return self.live_recipe.reload(lambda: load_recipe(self.settings.recipe))

    @property
    def settings_in_force(self) -> Settings:
        """The settings with what was applied since the start."""
        return self.live_settings.current if self.live_settings else self.settings

    @property
    def settings_error(self) -> InvalidSettings | None:
        """Why changed settings are not in force; None if they are."""
        return self.live_settings.error if self.live_settings else None

    @property
    def recipe_error(self) -> InvalidRecipe | None:
        """Why the recipe in its file is not in force; None if it is."""
        return self.live_recipe.error
