// The part of a grid that is in the window. All rows have the same height, so a division finds it.

import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import type { RefObject } from "preact";

export interface Layout {
  columns: number;
  cardWidth: number;
  rowHeight: number;
}

export interface Rows extends Layout {
  first: number;
  last: number;
}

const OVERSCAN_ROWS = 2;
// A face is 4:3; below it are a line for the title, and one for the facts.
const TEXT_HEIGHT = 56;

export function layoutOf(width: number): Layout {
  const isNarrow = width < 560;
  const [gap, rowGap, least] = isNarrow ? [14, 20, Math.min(216, width * 0.44)] : [20, 28, 216];
  const columns = Math.max(1, Math.floor((width + gap) / (least + gap)));
  const cardWidth = Math.floor((width - gap * (columns - 1)) / columns);
  return { columns, cardWidth, rowHeight: Math.ceil(cardWidth * 0.75) + TEXT_HEIGHT + rowGap };
}

const NOTHING: Rows = { columns: 1, cardWidth: 0, rowHeight: 1, first: 0, last: -1 };

export function useWindow(grid: RefObject<HTMLElement | null>): Rows {
  const [rows, setRows] = useState(NOTHING);
  const measure = () => {
    const element = grid.current;
    if (!element) return;
    const { width, top } = element.getBoundingClientRect();
    const layout = layoutOf(width);
    const first = Math.max(0, Math.floor(-top / layout.rowHeight) - OVERSCAN_ROWS);
    const last = Math.ceil((innerHeight - top) / layout.rowHeight) + OVERSCAN_ROWS;
    setRows((before) =>
      before.first === first && before.last === last && before.cardWidth === layout.cardWidth ? before : { ...layout, first, last },
    );
  };
  useLayoutEffect(measure, []);
  useEffect(() => {
    let frame = 0;
    const soon = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        measure();
      });
    };
    const observer = new ResizeObserver(soon);
    if (grid.current) observer.observe(grid.current);
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(frame);
      observer.disconnect();
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
    };
  }, []);
  return rows;
}

// The distance between two columns, from the left edge of one to that of the next.
export const pitch = ({ columns, cardWidth }: Layout, width: number): number =>
  columns === 1 ? 0 : (width - cardWidth) / (columns - 1);
