// The control of one parameter, chosen by the table of parameters.

import type { ComponentChildren } from "preact";

import type { Parameter } from "../api/client";

interface Props {
  parameter: Parameter;
  // Empty if the parameter is not set.
  value: string;
  onChange(value: string): void;
  // A control that replaces the one for the type.
  children?: ComponentChildren;
}

// A slider is of use in a range that a hand can hit; wider ones are typed.
const MAX_SLIDER = 800;

export function Control({ parameter, value, onChange, children }: Props) {
  const { name, meaning, expected } = parameter;
  const id = `parameter-${name}`;
  const title = (
    <>
      <code>{name}</code> <span>{meaning.replaceAll("`", "")}</span>
    </>
  );
  return (
    <div class={value ? "control set" : "control"}>
      {children ? <p class="label">{title}</p> : <label for={id}>{title}</label>}
      <div class="field" title={`Expected: ${expected}.`}>
        {children ?? <Field id={id} parameter={parameter} value={value} onChange={onChange} />}
        {value && (
          <button class="link" type="button" aria-label={`Reset ${name}`} onClick={() => onChange("")}>
            Reset
          </button>
        )}
      </div>
    </div>
  );
}

function Field({ id, parameter, value, onChange }: Props & { id: string }) {
  const { control, low, high, choices, repeatable } = parameter;
  const shown = value || parameter.default || "";
  if (repeatable) {
    return <textarea id={id} rows={2} value={value} spellcheck={false} onChange={(event) => onChange(event.currentTarget.value)} />;
  }
  switch (control) {
    case "choice":
      return (
        <select id={id} value={shown} onChange={(event) => onChange(event.currentTarget.value)}>
          {!parameter.default && <option value="">not set</option>}
          {choices.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      );
    case "flag":
      return <input id={id} type="checkbox" checked={shown === "1"} onChange={(event) => onChange(event.currentTarget.checked ? "1" : "0")} />;
    case "colour":
      return <input id={id} type="color" value={`#${shown || "ffffff"}`} onInput={(event) => onChange(event.currentTarget.value.slice(1))} />;
    case "integer":
    case "number": {
      const isSlider = low !== null && high !== null && high - low <= MAX_SLIDER;
      const step = control === "integer" ? 1 : (high ?? 0) - (low ?? 0) > 50 ? 1 : 0.1;
      const number = (
        <input id={id} type="number" min={low ?? undefined} max={high ?? undefined} step={control === "integer" ? 1 : "any"} value={shown} onInput={(event) => onChange(event.currentTarget.value)} />
      );
      if (!isSlider) return number;
      return (
        <>
          <input type="range" aria-label={`${parameter.name}, slider`} min={low} max={high} step={step} value={shown || String(low)} onInput={(event) => onChange(event.currentTarget.value)} />
          {number}
        </>
      );
    }
    default:
      return <input id={id} type="text" value={value} spellcheck={false} autocomplete="off" placeholder={parameter.default ?? ""} onChange={(event) => onChange(event.currentTarget.value)} />;
  }
}
