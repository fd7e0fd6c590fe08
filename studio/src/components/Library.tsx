// The library: filters, folders, the grid, and what is said where it has nothing to show.

import { counted } from "../labels";
import { isFiltered, isNarrowed, ALL } from "../state/filter";
import { folders } from "../state/folders";
import * as library from "../state/library";
import { filterBy } from "../state/location";
import { Empty } from "./Empty";
import { Filters } from "./Filters";
import { Folders } from "./Folders";
import { Grid } from "./Grid";

export function Library() {
  if (!library.isLoaded.value) return <Unread />;
  const isEmpty = library.shown.value.length === 0;
  const filter = library.filter.value;
  if (isEmpty && !isFiltered(filter) && !library.waiting.value.length) return <Empty />;
  return (
    <section id="library" aria-label="Images">
      <Filters />
      <Folders />
      <Waiting />
      <Grid />
      {isEmpty && <Nothing />}
      <More />
    </section>
  );
}

// Until the library is read, and in place of one that cannot be read.
function Unread() {
  const error = library.loadError.value;
  if (!error) return <p class="nothing late">Reading the library…</p>;
  return (
    <section class="nothing vacant" role="alert">
      <p>The images cannot be shown. {error}</p>
      <p class="actions">
        <button class="button" type="button" onClick={() => void library.reload().catch(() => {})}>
          Try again
        </button>
      </p>
    </section>
  );
}

function Nothing() {
  const { folder, sort } = library.filter.value;
  if (isNarrowed(library.filter.value)) {
    return (
      <p class="nothing vacant" id="nothing">
        No image matches.{" "}
        <button class="link" type="button" onClick={() => filterBy({ ...ALL, folder, sort })}>
          Show all
        </button>
      </p>
    );
  }
  return (
    <p class="nothing vacant" id="nothing">
      {folders.value.length ? "This folder has only folders." : "This folder is empty."} Drop images to add them here.
    </p>
  );
}

// Images of others that would move the grid.
function Waiting() {
  const count = library.waiting.value.length;
  if (!count) return null;
  const show = () => {
    library.showWaiting();
    scrollTo({ top: 0 });
  };
  return (
    <p class="waiting">
      <button class="button primary pill" type="button" onClick={show}>
        Show {counted(count, "new image", "new images")}
      </button>
    </p>
  );
}

function More() {
  const error = library.loadError.value;
  if (error) {
    return (
      <p class="more" role="alert">
        {error}{" "}
        <button class="link" type="button" onClick={() => void library.loadMore()}>
          Try again
        </button>
      </p>
    );
  }
  return library.isLoadingMore.value ? <p class="more">Loading more…</p> : null;
}
