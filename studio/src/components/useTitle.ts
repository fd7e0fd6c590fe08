// The title of the browser's tab and of its history: what is shown, then the name of the page.

import { useEffect } from "preact/hooks";

const NAME = document.title;

export function useTitle(shown: string | null): void {
  useEffect(() => {
    if (shown === null) return;
    const before = document.title;
    document.title = `${shown} · ${NAME}`;
    return () => {
      document.title = before;
    };
  }, [shown]);
}
