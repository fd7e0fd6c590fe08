// A button beside a text that copies it.

import { copy } from "../state/copying";

interface Props {
  text: string;
  // Names the text, such as "URL".
  what: string;
}

export const Copy = ({ text, what }: Props) => (
  <button class="copy" type="button" aria-label={`Copy ${what}`} title={`Copy ${what}`} onClick={() => void copy(text, what)}>
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.6" />
      <path d="M10.5 3.2A1.6 1.6 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5a1.6 1.6 0 0 0 .7 1.5" />
    </svg>
  </button>
);
