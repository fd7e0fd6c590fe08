// The grid: draws only the cards in the window, and loads more near its end. Arrows move between cards.

import { useEffect, useRef, useState } from "preact/hooks";

import * as library from "../state/library";
import * as selection from "../state/selection";
import { askBeforeMoving } from "../state/follow";
import { left } from "../state/location";
import { Card } from "./Card";
import { pitch, useWindow } from "./useWindow";

const ROWS_AHEAD = 3;

export function Grid() {
  const list = useRef<HTMLUListElement>(null);
  const rows = useWindow(list);
  const [active, setActive] = useState(0);
  const keys = library.shown.value;
  const { columns, cardWidth, rowHeight } = rows;
  const last = Math.min(keys.length, (rows.last + 1) * columns);
  const step = pitch(rows, list.current?.clientWidth ?? 0);
  const current = Math.min(active, keys.length - 1);

  useMoves(list);
  const focused = useKeptFocus(list, keys, current);
  useEffect(() => {
    const isNearEnd = last + ROWS_AHEAD * columns >= keys.length;
    if (cardWidth && isNearEnd && !library.loadError.peek()) void library.loadMore();
  }, [last, keys.length, columns, cardWidth, library.cursor.value]);

  const focus = (index: number, isChoosing: boolean) => {
    const target = Math.max(0, Math.min(keys.length - 1, index));
    if (isChoosing) selection.extendTo(keys[target]!);
    setActive(target);
    scrollToRow(list.current!, Math.floor(target / columns) * rowHeight, rowHeight);
    // The card may only now be drawn.
    requestAnimationFrame(() => requestAnimationFrame(() => cardAt(list.current!, target)?.focus({ preventScroll: true })));
  };

  useEffect(() => {
    const index = keys.indexOf(left.value ?? "");
    left.value = null;
    if (index >= 0) focus(index, false);
  }, [left.value]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === " " && !(event.target instanceof HTMLInputElement)) {
      const key = keys[indexOf(event.target) ?? -1];
      event.preventDefault();
      return key === undefined ? undefined : selection.toggle(key);
    }
    const page = Math.max(1, Math.floor(innerHeight / rowHeight)) * columns;
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      PageDown: page,
      PageUp: -page,
      Home: -keys.length,
      End: keys.length,
    };
    const by = steps[event.key];
    if (by === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const from = indexOf(event.target);
    if (from === null) return;
    event.preventDefault();
    focus(from + by, event.shiftKey);
  };

  const drawn = range(rows.first * columns, last);
  // The card with the focus must not leave the page.
  if (current >= 0 && !drawn.includes(current)) drawn.push(current);
  return (
    <ul
      class="grid"
      id="grid"
      ref={list}
      style={{ height: `${Math.ceil(keys.length / columns) * rowHeight}px` }}
      onKeyDown={onKeyDown}
      onFocusIn={(event) => {
        const index = indexOf(event.target) ?? active;
        focused.current = keys[index] ?? null;
        setActive(index);
      }}
      onFocusOut={(event) => event.relatedTarget && (focused.current = null)}
    >
      {cardWidth > 0 &&
        drawn.map((index) => {
          const key = keys[index];
          const item = key === undefined ? undefined : library.itemOf(key);
          if (!item) return null;
          return (
            <Card
              key={key}
              item={item}
              index={index}
              total={library.cursor.value ? -1 : keys.length}
              x={Math.round((index % columns) * step)}
              y={Math.floor(index / columns) * rowHeight}
              width={cardWidth}
              isActive={index === current}
            />
          );
        })}
    </ul>
  );
}

const range = (first: number, end: number): number[] => Array.from({ length: Math.max(0, end - first) }, (_, at) => first + at);

function indexOf(target: EventTarget | null): number | null {
  const card = target instanceof Element ? target.closest<HTMLElement>(".card") : null;
  return card ? Number(card.dataset.index) : null;
}

const cardAt = (list: HTMLElement, index: number) => list.querySelector<HTMLElement>(`[data-index="${index}"] .open`);

// Below the head of the page, which stays in view.
const HEAD_HEIGHT = 140;

function scrollToRow(list: HTMLElement, y: number, height: number): void {
  const top = list.getBoundingClientRect().top + y;
  if (top < HEAD_HEIGHT) scrollBy({ top: top - HEAD_HEIGHT });
  else if (top + height > innerHeight) scrollBy({ top: top + height - innerHeight });
}

// If the image with the focus is gone, the one in its place has it: arrows and keys must go on.
function useKeptFocus(list: { current: HTMLElement | null }, keys: readonly string[], current: number): { current: string | null } {
  const focused = useRef<string | null>(null); // a key
  useEffect(() => {
    if (focused.current === null || document.activeElement !== document.body || keys.includes(focused.current)) return;
    focused.current = null;
    if (list.current) cardAt(list.current, current)?.focus({ preventScroll: true });
  }, [keys]);
  return focused;
}

// New images are shown at once only at the top of the page, and not under the pointer.
function useMoves(list: { current: HTMLElement | null }): void {
  useEffect(() => {
    askBeforeMoving(() => scrollY < 40 && !list.current?.matches(":hover"));
    return () => askBeforeMoving(() => true);
  }, []);
}
