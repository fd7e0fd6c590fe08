// Nine places of a frame to choose from, and what depends on the pixels.

const PLACES = ["northwest", "north", "northeast", "west", "centre", "east", "southwest", "south", "southeast"];
const SMART: Record<string, string> = { attention: "Most striking", entropy: "Most detail", faces: "Faces" };

interface Props {
  name: string;
  value: string;
  // Overlays have no smart places.
  isSmart?: boolean;
  onChange(value: string): void;
}

export function GravityPad({ name, value, isSmart = true, onChange }: Props) {
  const radio = (place: string, label: string) => (
    <label key={place} title={label}>
      <input type="radio" name={name} value={place} checked={value === place} aria-label={label} onChange={() => onChange(place)} />
      <span>{place in SMART ? label : ""}</span>
    </label>
  );
  return (
    <fieldset class="gravity">
      <legend class="unseen">Gravity</legend>
      <div class="pad">{PLACES.map((place) => radio(place, place))}</div>
      {isSmart && <div class="smart">{Object.entries(SMART).map(([place, label]) => radio(place, label))}</div>}
    </fieldset>
  );
}
