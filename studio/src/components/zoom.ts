// Zooming and moving a picture, by buttons, pointers, two fingers, a double click, and the wheel with the control
// key (the form in which browsers tell a pinch on a trackpad).

import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface View {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

const WHOLE: View = { scale: 1, x: 0, y: 0 };
const STEP = 1.5;
const MAX_MOVE_OF_CLICK = 4; // pixels

interface Point {
  x: number;
  y: number;
}

export interface Zoom {
  readonly view: View;
  zoomBy(factor: number): void;
  zoomTo(scale: number): void;
  readonly step: number;
  readonly handlers: {
    onPointerDown(event: PointerEvent): void;
    onPointerMove(event: PointerEvent): void;
    onPointerUp(event: PointerEvent): void;
    onPointerCancel(event: PointerEvent): void;
    onDblClick(event: MouseEvent): void;
  };
}

// ``element`` has the size of the whole picture, and is moved. ``natural`` is the scale of its pixels; ``onClick``
// gets a point as fractions of its sides.
export function useZoom(element: RefObject<HTMLElement | null>, natural: () => number, onClick: (point: Point) => void): Zoom {
  const [view, setView] = useState(WHOLE);
  const current = useRef(view);
  const pointers = useRef(new Map<number, Point>());
  const start = useRef<Point>({ x: 0, y: 0 });
  current.current = view;

  const greatest = () => Math.max(4, 4 * natural());
  const show = (next: View) => {
    const { offsetWidth, offsetHeight } = element.current!;
    const scale = Math.min(greatest(), Math.max(1, next.scale));
    const within = (at: number, side: number) => Math.min(0, Math.max(side * (1 - scale), at));
    current.current = { scale, x: within(next.x, offsetWidth), y: within(next.y, offsetHeight) };
    setView(current.current);
  };
  const around = (point: Point, scale: number) => {
    const before = current.current;
    const box = element.current!.getBoundingClientRect();
    const limited = Math.min(greatest(), Math.max(1, scale));
    const part = limited / before.scale - 1;
    show({ scale: limited, x: before.x - (point.x - box.left) * part, y: before.y - (point.y - box.top) * part });
  };
  const zoomTo = (scale: number) => {
    const box = element.current!.parentElement!.getBoundingClientRect();
    around({ x: box.left + box.width / 2, y: box.top + box.height / 2 }, scale);
  };

  useEffect(() => {
    const target = element.current!;
    const onWheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      around({ x: event.clientX, y: event.clientY }, current.current.scale * Math.exp(-event.deltaY / 200));
    };
    target.addEventListener("wheel", onWheel, { passive: false });
    return () => target.removeEventListener("wheel", onWheel);
  }, []);

  const pointOf = ({ clientX: x, clientY: y }: MouseEvent): Point => ({ x, y });
  const spread = () => {
    const [one, other] = [...pointers.current.values()];
    return one && other ? { distance: Math.hypot(one.x - other.x, one.y - other.y), x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 } : null;
  };
  const isClick = (event: PointerEvent) =>
    pointers.current.size === 1 && Math.hypot(event.clientX - start.current.x, event.clientY - start.current.y) < MAX_MOVE_OF_CLICK;

  return {
    view,
    step: STEP,
    zoomTo,
    zoomBy: (factor) => zoomTo(current.current.scale * factor),
    handlers: {
      onPointerDown(event) {
        if (event.button) return;
        pointers.current.set(event.pointerId, pointOf(event));
        start.current = pointOf(event);
        if (current.current.scale > 1) element.current!.setPointerCapture(event.pointerId);
      },
      onPointerMove(event) {
        const last = pointers.current.get(event.pointerId);
        if (!last) return;
        const before = spread();
        pointers.current.set(event.pointerId, pointOf(event));
        const after = spread();
        const { scale, x, y } = current.current;
        if (before && after) around(after, (scale * after.distance) / before.distance);
        else if (scale > 1) show({ scale, x: x + event.clientX - last.x, y: y + event.clientY - last.y });
      },
      onPointerUp(event) {
        if (pointers.current.has(event.pointerId) && isClick(event)) {
          const box = element.current!.getBoundingClientRect();
          onClick({ x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height });
        }
        pointers.current.delete(event.pointerId);
      },
      onPointerCancel: (event) => void pointers.current.delete(event.pointerId),
      onDblClick: (event) => around(pointOf(event), current.current.scale > 1 ? 1 : Math.max(2, natural())),
    },
  };
}
