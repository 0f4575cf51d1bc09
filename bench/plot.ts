/**
 * Plots as SVG: bars, and lines over a logarithmic or plain axis. Pure; each plot is a string.
 */

const WIDTH = 760;
const HEIGHT = 420;
const LEFT = 70;
const RIGHT = 20;
const TOP = 60;
const BOTTOM = 60;
const COLORS = ['#2f6f8f', '#c8643c', '#6a8f3c', '#7a5aa6', '#a63c6a', '#8f7a2f'];

export interface Series {
  name: string;
  /** In order of x; a bar plot has one for each category. */
  points: { x: number; y: number }[];
}

interface Axes {
  title: string;
  xLabel: string;
  yLabel: string;
}

/** Groups of bars, one group a category. */
export function barPlot(axes: Axes, categories: readonly string[], series: readonly Series[]): string {
  const top = niceTop(series);
  const groupWidth = (WIDTH - LEFT - RIGHT) / Math.max(1, categories.length);
  const barWidth = (groupWidth * 0.8) / Math.max(1, series.length);
  const bars = series.flatMap(({ points }, s) =>
    points.map(({ x, y }) => {
      const left = LEFT + x * groupWidth + groupWidth * 0.1 + s * barWidth;
      const height = ((HEIGHT - TOP - BOTTOM) * y) / top;
      return (
        `<rect x="${fixed(left)}" y="${fixed(HEIGHT - BOTTOM - height)}" width="${fixed(barWidth * 0.92)}" ` +
        `height="${fixed(height)}" fill="${colorOf(s)}"/>` +
        text(left + barWidth / 2, HEIGHT - BOTTOM - height - 4, short(y), 'middle', 10)
      );
    }),
  );
  const names = categories.map((name, i) =>
    text(LEFT + (i + 0.5) * groupWidth, HEIGHT - BOTTOM + 18, name, 'middle'),
  );
  return svg(axes, series, top, [...bars, ...names]);
}

/** Lines through points, x as its logarithm where `logarithmic`. */
export function linePlot(axes: Axes, series: readonly Series[], logarithmic: boolean): string {
  const top = niceTop(series);
  const scale = (x: number) => (logarithmic ? Math.log10(x) : x);
  const ticks = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const [low, high] = [scale(ticks[0] ?? 0), scale(ticks.at(-1) ?? 1)];
  const across = (x: number) =>
    LEFT + 20 + ((scale(x) - low) / (high - low || 1)) * (WIDTH - LEFT - RIGHT - 40);
  const down = (y: number) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * y) / top;
  const lines = series.map(({ points }, s) => {
    const path = points.map(({ x, y }) => `${fixed(across(x))},${fixed(down(y))}`).join(' ');
    const dots = points.map(
      ({ x, y }) => `<circle cx="${fixed(across(x))}" cy="${fixed(down(y))}" r="4" fill="${colorOf(s)}"/>`,
    );
    return `<polyline points="${path}" fill="none" stroke="${colorOf(s)}" stroke-width="2"/>${dots.join('')}`;
  });
  const names = ticks.map((x) => text(across(x), HEIGHT - BOTTOM + 18, short(x), 'middle'));
  return svg(axes, series, top, [...lines, ...names]);
}

function svg(
  { title, xLabel, yLabel }: Axes,
  series: readonly Series[],
  top: number,
  body: string[],
): string {
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share;
    return (
      `<line x1="${LEFT}" y1="${fixed(y)}" x2="${WIDTH - RIGHT}" y2="${fixed(y)}" stroke="#ddd"/>` +
      text(LEFT - 8, y + 4, short(top * share), 'end')
    );
  });
  let legendAt = LEFT;
  const legend = series.map(({ name }, s) => {
    const at = legendAt;
    legendAt += 34 + name.length * 7;
    return `<rect x="${at}" y="36" width="12" height="12" fill="${colorOf(s)}"/>${text(at + 17, 46, name, 'start')}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(LEFT, 22, title, 'start', 15),
    ...legend,
    ...grid,
    ...body,
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, xLabel, 'middle'),
    `<g transform="translate(16 ${HEIGHT / 2}) rotate(-90)">${text(0, 0, yLabel, 'middle')}</g>`,
    '</svg>\n',
  ].join('\n');
}

/** The least of 1, 2, 2.5, 5 and their tens that is over every value. */
function niceTop(series: readonly Series[]): number {
  const most = Math.max(0, ...series.flatMap(({ points }) => points.map(({ y }) => y)));
  if (most === 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 2.5, 5, 10].map((step) => step * unit).find((top) => top >= most * 1.05) ?? 20 * unit;
}

const colorOf = (series: number): string => COLORS[series % COLORS.length]!;
const fixed = (value: number): string => value.toFixed(1);

function short(value: number): string {
  if (value >= 1e6) return `${trimmed(value / 1e6)} M`;
  if (value >= 1e4) return `${trimmed(value / 1e3)} K`;
  return trimmed(value);
}

function trimmed(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function text(x: number, y: number, what: string, anchor: 'start' | 'middle' | 'end', size = 12): string {
  const safe = what.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
  return `<text x="${fixed(x)}" y="${fixed(y)}" font-size="${size}" text-anchor="${anchor}" fill="#222">${safe}</text>`;
}
