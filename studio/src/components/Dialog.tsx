// A modal dialog. All but the topmost dialog is inert, messages too, so the topmost one shows them.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { Toasts } from "./Toasts";

const opened = signal<readonly symbol[]>([]);
export const hasDialog = () => opened.value.length > 0;

interface Props {
  class: string;
  id: string;
  labelledBy: string;
  onClose(): void;
  onKeyDown?(event: KeyboardEvent): void;
  children: ComponentChildren;
}

export function Dialog({ class: name, id, labelledBy, onClose, onKeyDown, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [token] = useState(() => Symbol(id));
  // At once: keys that follow belong to the dialog.
  useLayoutEffect(() => {
    const before = document.activeElement;
    const element = dialog.current!;
    element.showModal();
    opened.value = [...opened.peek(), token];
    return () => {
      opened.value = opened.peek().filter((other) => other !== token);
      element.close();
      // The browser gives the focus back only where the dialog closes before it leaves the page.
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={name}
      id={id}
      aria-labelledby={labelledBy}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === dialog.current && onClose()}
      onKeyDown={onKeyDown}
    >
      {children}
      {opened.value.at(-1) === token && <Toasts />}
    </dialog>
  );
}
