// Series over time, and bars over days: uPlot on a canvas, with the figures as a table for those who do not see it.
import { Box, useComputedColorScheme, VisuallyHidden } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

interface Series {
  label: string;
  color: string;
  values: (number | null)[];
}

interface Props {
  label: string;
  /** What stands below the axis at each point. */
  points: string[];
  series: Series[];
  height?: number;
  bars?: boolean;
  min?: number;
  max?: number;
}

export function Chart({ label, points, series, height = 160, bars, min, max }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const { ref, width } = useElementSize();
  const dark = useComputedColorScheme('light') === 'dark';
  useEffect(() => {
    if (!place.current || width === 0) return undefined;
    const ink = dark ? '#c9c9c9' : '#495057';
    const grid = { stroke: dark ? '#3b3b3b' : '#e9ecef', width: 1 };
    const plot = new uPlot(
      {
        width,
        height,
        cursor: { y: false },
        legend: { show: series.length > 1 },
        scales: { x: { time: false, range: bars ? (_, low, high) => [low - 0.6, high + 0.6] : undefined }, y: { range: (_, low, high) => [min ?? Math.min(0, low), max ?? (high === low ? high + 1 : high * 1.08)] } },
        axes: [
          { stroke: ink, grid: { show: false }, ticks: grid, space: 60, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], values: (_, ticks) => ticks.map((tick) => points[tick] ?? '') },
          { stroke: ink, grid, ticks: grid, size: 48 },
        ],
        series: [
          { value: (_: uPlot, index: number | null) => (index === null ? '' : (points[index] ?? '')) },
          ...series.map((one) => ({
            label: one.label,
            stroke: one.color,
            width: 2,
            fill: bars ? one.color : undefined,
            points: { show: points.length < 30 && !bars },
            paths: bars ? uPlot.paths.bars?.({ size: [0.6, 48], radius: 0.15 }) : undefined,
          })),
        ],
      },
      [points.map((_, index) => index), ...series.map((one) => one.values)],
      place.current,
    );
    return () => plot.destroy();
  }, [width, height, points, series, bars, dark, min, max]);
  return (
    <Box ref={ref} role="group" aria-label={label}>
      <div ref={place} aria-hidden />
      <VisuallyHidden>
        <table>
          <caption>{label}</caption>
          <tbody>
            {points.map((point, index) => (
              <tr key={`${point}-${index}`}>
                <th scope="row">{point}</th>
                {series.map((one) => (
                  <td key={one.label}>{one.values[index] ?? '–'}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </VisuallyHidden>
    </Box>
  );
}
