/**
 * The report's charts, as SVG that scales with the page and takes its colours from the page's style.
 *
 * Pure; runs on the main thread.
 */
import { duration } from '../format.js';
import { html, type Markup } from './html.js';

const WIDTH = 760;
const LEFT = 64;
const RIGHT = 12;

export interface ChartPoint {
  atMs: number;
  value: number;
}

/** A value over time as an area; `unit` says a value in words. */
export function timeChart(
  title: string,
  points: readonly ChartPoint[],
  endMs: number,
  unit: (value: number) => string,
): Markup {
  const height = 190;
  const [top, bottom] = [12, height - 26];
  const ticks = niceTicks(Math.max(1, ...points.map(({ value }) => value)), 4);
  const most = ticks.at(-1)!;
  const x = (ms: number) => round(LEFT + (ms / Math.max(1, endMs)) * (WIDTH - LEFT - RIGHT));
  const y = (value: number) => round(bottom - (value / most) * (bottom - top));
  const steps = points.map(({ atMs, value }) => `L${x(atMs)} ${y(value)}`).join('');
  const line = `M${x(0)} ${y(0)}${steps}`;
  const peak = points.reduce((best, point) => (point.value > best.value ? point : best), points[0]!);
  return html`<svg class="chart" role="img" viewBox="0 0 ${WIDTH} ${height}" aria-label="${`${title}: at most ${unit(peak.value)}, ${duration(peak.atMs)} after the start`}">
${ticks.map(
  (tick) =>
    html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(tick)}" y2="${y(tick)}"/><text class="axis" text-anchor="end" x="${LEFT - 8}" y="${y(tick) + 4}">${unit(tick)}</text>`,
)}
<path class="area" d="${`${line}L${x(points.at(-1)!.atMs)} ${y(0)}Z`}"/><path class="line" d="${line}"/>
${timeAxis(endMs, x, bottom + 18)}
</svg>`;
}

export interface TimeBar {
  name: string;
  startMs: number;
  endMs: number;
  /** What stands behind the bar. */
  label: string;
  failed: boolean;
}

/** When each table was worked on. */
export function timeline(title: string, bars: readonly TimeBar[], endMs: number): Markup {
  const rowHeight = 22;
  const left = 210;
  const labelRoom = 150;
  const height = bars.length * rowHeight + 28;
  const x = (ms: number) => round(left + (ms / Math.max(1, endMs)) * (WIDTH - left - RIGHT));
  return html`<svg class="chart" role="img" viewBox="0 0 ${WIDTH} ${height}" aria-label="${title}">
${bars.map((bar, row) => {
  const y = row * rowHeight;
  const width = Math.max(2, x(bar.endMs) - x(bar.startMs));
  // Behind its bar, else in front of it, else upon it: wherever there is room.
  const behind = x(bar.startMs) + width + labelRoom <= WIDTH;
  const inFront = !behind && x(bar.startMs) - labelRoom >= left;
  const [at, anchor] = behind
    ? [x(bar.startMs) + width + 6, 'start']
    : inFront
      ? [x(bar.startMs) - 6, 'end']
      : [x(bar.startMs) + width / 2, 'middle'];
  const labelClass = behind || inFront ? 'axis' : 'inside';
  return html`<text class="name" text-anchor="end" x="${left - 10}" y="${y + 15}">${shorten(bar.name, 30)}</text><rect class="${bar.failed ? 'bar failed' : 'bar'}" x="${x(bar.startMs)}" y="${y + 4}" width="${round(width)}" height="14" rx="3"><title>${`${bar.name}: ${bar.label}`}</title></rect><text class="${labelClass}" text-anchor="${anchor}" x="${round(at)}" y="${y + 15}">${bar.label}</text>`;
})}
${timeAxis(endMs, x, height - 6)}
</svg>`;
}

export interface Share {
  name: string;
  /** Names its colour. */
  kind: string;
  part: number;
}

/** One bar a line, divided into shares of 1. */
export function shareBars(
  title: string,
  lines: readonly { name: string; shares: readonly Share[] }[],
): Markup {
  const rowHeight = 34;
  const left = 90;
  const span = WIDTH - left - RIGHT;
  return html`<svg class="chart" role="img" viewBox="0 0 ${WIDTH} ${lines.length * rowHeight}" aria-label="${title}">
${lines.map(({ name, shares }, row) => {
  let at = left;
  return html`<text class="name" text-anchor="end" x="${left - 10}" y="${row * rowHeight + 21}">${name}</text>${shares.map(
    (share) => {
      const start = at;
      const width = share.part * span;
      at += width;
      const label = percent(share.part);
      return html`<rect class="${`share ${share.kind}`}" x="${round(start)}" y="${row * rowHeight + 4}" width="${round(width)}" height="24"><title>${`${name}: ${share.name} ${label}`}</title></rect>${
        width < 40
          ? null
          : html`<text class="${`inside ${share.kind}`}" text-anchor="middle" x="${round(start + width / 2)}" y="${row * rowHeight + 21}">${label}</text>`
      }`;
    },
  )}`;
})}
</svg>`;
}

export function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

function timeAxis(endMs: number, x: (ms: number) => number, y: number): Markup {
  const ticks = timeTicks(endMs);
  return html`${ticks.map(
    (ms) =>
      html`<text class="axis" text-anchor="${ms === 0 ? 'start' : 'middle'}" x="${Math.min(x(ms), WIDTH - 24)}" y="${y}">${clock(ms)}</text>`,
  )}`;
}

/** @returns 0 and some multiples of 1, 2 or 5 times a power of ten, the last one no less than `most`. */
export function niceTicks(most: number, count: number): number[] {
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)!;
  const ticks = [0];
  while (ticks.at(-1)! < most) ticks.push(ticks.length * step);
  return ticks;
}

const TIME_STEPS_S = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200,
];

function timeTicks(endMs: number): number[] {
  const step = 1000 * (TIME_STEPS_S.find((seconds) => seconds * 1000 * 7 >= endMs) ?? 86_400);
  const ticks: number[] = [];
  for (let ms = 0; ms <= endMs; ms += step) ticks.push(ms);
  return ticks;
}

function clock(ms: number): string {
  if (ms < 60_000) return `${round(ms / 1000)} s`;
  return duration(ms);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}\u2026`;
}
