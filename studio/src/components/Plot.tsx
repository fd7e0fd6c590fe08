// A small plot: one bar for each period. What it says is in its label, for everybody who cannot see it.

interface Props {
  values: readonly number[];
  label: string;
  // The text of one bar, shown where the pointer is.
  describe(value: number, index: number): string;
  // What a full bar stands for; by default the largest value.
  full?: number;
}

const HEIGHT = 40;

export function Plot({ values, label, describe, full }: Props) {
  const top = full ?? Math.max(...values, 1);
  return (
    <svg class="plot" viewBox={`0 0 ${values.length} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      {values.map((value, index) => (
        <g key={index}>
          <rect class="slot" x={index + 0.12} y={0} width={0.76} height={HEIGHT}>
            <title>{describe(value, index)}</title>
          </rect>
          {value > 0 && <Bar x={index} height={Math.max(1.5, (Math.min(value, top) / top) * HEIGHT)} />}
        </g>
      ))}
    </svg>
  );
}

const Bar = ({ x, height }: { x: number; height: number }) => (
  <rect class="bar" x={x + 0.12} y={HEIGHT - height} width={0.76} height={height} />
);
