// Images that look like the one that is shown.

import { useEffect, useState } from "preact/hooks";

import * as api from "../api/client";
import { counted, fileName } from "../labels";
import { close, filterBy, replace } from "../state/location";
import { candidates, source, sources } from "../pictures";

const SHOWN = 8;

type Match = Awaited<ReturnType<typeof api.similar>>[number];

export function Similar({ image }: { image: api.Image }) {
  const [found, setFound] = useState<readonly Match[]>([]);
  useEffect(() => {
    let isCurrent = true;
    setFound([]);
    if (!image.perceptual_hash) return;
    api.similar(image.id, SHOWN + 1).then(
      (matches) => isCurrent && setFound(matches),
      () => {}, // the section is left out
    );
    return () => {
      isCurrent = false;
    };
  }, [image.id, image.perceptual_hash]);
  if (!found.length) return null;
  const showAll = () => {
    close();
    filterBy({ near: image.id });
  };
  return (
    <section class="similar">
      <h3>Similar images</h3>
      <ul>
        {found.slice(0, SHOWN).map(({ image: other, distance }) => (
          <li key={other.id}>
            <button type="button" title={other.original} onClick={() => replace(other.id)}>
              <Thumbnail image={other} />
              <span class="name">{fileName(other.original)}</span>
              <span class="about">{distance === 0 ? "same hash" : counted(distance, "bit differs", "bits differ")}</span>
            </button>
          </li>
        ))}
      </ul>
      <button class="link" type="button" onClick={showAll}>
        Show them in the library
      </button>
    </section>
  );
}

function Thumbnail({ image }: { image: api.Image }) {
  const found = sources(candidates(image, 200));
  return found ? <img alt="" loading="lazy" src={source(found.others[0] ?? found.plain)} /> : <span class="blank" />;
}
