/**
 * The parts of the screen: head, tables, plot, gauges, log, keys. Each takes exactly the room it is given.
 *
 * Runs on the main thread.
 */
import { Box, Text } from 'ink';
import { byteCount, count, duration, oneLine, short } from '../../observe/format.js';
import { overallLine } from '../../observe/lines.js';
import type { HistoryPoint } from '../../observe/pace.js';
import type { Gauges as GaugeValues, Snapshot } from '../../observe/tally.js';
import { LIMIT_TEXT } from '../../observe/tiers.js';
import type { Desk } from './desk.js';
import { bar, plot } from './plot.js';
import { cell, listing, type TableRow } from './rows.js';

export interface Room {
  width: number;
  height: number;
}

/** `── Tables ─────────` */
export function Rule({ title, width }: { title: string; width: number }) {
  const text = cell(title, Math.min([...title].length, Math.max(0, width - 5)));
  return (
    <Text wrap="truncate">
      <Text dimColor>{'\u2500\u2500 '}</Text>
      <Text bold>{text}</Text>
      <Text dimColor>{` ${'\u2500'.repeat(Math.max(0, width - [...text].length - 4))}`}</Text>
    </Text>
  );
}

export interface HeadProps {
  desk: Desk;
  title: string;
  snapshot: Snapshot | null;
  width: number;
  color: boolean;
}

/** Two lines: what is moved where, and how far it is. */
export function Head({ desk, title, snapshot, width, color }: HeadProps) {
  const { task } = desk;
  const state = stateText(desk);
  const wrong = task?.end?.error !== undefined;
  return (
    <Box flexDirection="column" height={2}>
      <Text wrap="truncate">
        <Text bold>{cell(oneLine(title), Math.max(0, width - state.length - 1))}</Text>{' '}
        <Text color={wrong ? 'red' : task?.end ? 'green' : 'cyan'}>{state}</Text>
      </Text>
      <Text wrap="truncate">
        {snapshot === null || task === null
          ? 'Nothing is under way. Press r to run, d for a dry run, ? for help.'
          : overallLine(snapshot, { width, color })}
      </Text>
    </Box>
  );
}

function stateText({ task, leaving }: Desk): string {
  if (task === null) return 'idle';
  if (task.end !== null) return `${task.name} ${task.end.error === undefined ? 'done' : 'did not succeed'}`;
  return task.stopping ? `${task.name} stopping${leaving ? ', then leaving' : ''}` : `${task.name} under way`;
}

export interface TablesProps extends Room {
  rows: readonly TableRow[];
  selected: number;
  title: string;
}

export function Tables({ rows, selected, title, width, height }: TablesProps) {
  const shown = Math.max(0, height - 2);
  // The chosen table stays in sight.
  const first = Math.max(0, Math.min(selected - Math.floor(shown / 2), rows.length - shown));
  const { title: head, lines } = listing(rows.slice(first, first + shown), width);
  return (
    <Box flexDirection="column" height={height} width={width}>
      <Rule title={title} width={width} />
      <Text dimColor wrap="truncate">{`  ${head}`}</Text>
      {lines.map((line, i) => {
        const row = rows[first + i]!;
        const chosen = first + i === selected;
        return (
          <Text key={row.snapshot.table} wrap="truncate" inverse={chosen} color={COLORS[row.state]}>
            {`${chosen ? '\u25b8 ' : '  '}${line}`}
          </Text>
        );
      })}
    </Box>
  );
}

const COLORS: Record<string, string> = {
  running: 'cyan',
  done: 'green',
  equal: 'green',
  failed: 'red',
  differs: 'red',
  missing: 'red',
  stopped: 'yellow',
};

export function Throughput({ history, width, height }: Room & { history: readonly HistoryPoint[] }) {
  const { lines, mostRowsPerSecond, spanMs } = plot(history, width, height - 1);
  const scale =
    mostRowsPerSecond > 0 ? `, top ${short(Math.round(mostRowsPerSecond))}, ${duration(spanMs)}` : '';
  return (
    <Box flexDirection="column" width={width} height={height}>
      <Rule title={`Rows/s${scale}`} width={width} />
      {lines.map((line, i) => (
        // Lines of a picture have no other identity than their place.
        // biome-ignore lint/suspicious/noArrayIndexKey: see above
        <Text key={i} color="cyan" wrap="truncate">
          {line}
        </Text>
      ))}
    </Box>
  );
}

const NO_GAUGES: GaugeValues = { reader: null, hasher: null, writer: null, ringFill: 0 };

/** What there is in all, for screens that have the room. */
export function Totals({ snapshot, width, height }: Room & { snapshot: Snapshot | null }) {
  const s = snapshot;
  const values: [string, string][] =
    s === null
      ? []
      : [
          ['rows', `${count(s.rows)} of about ${count(s.approximateRows)}`],
          ['committed', count(s.rowsCommitted)],
          ['data', `${byteCount(s.bytes)} in ${count(s.chunks)} chunks`],
          ['retries', count(s.retries)],
          [
            'time',
            `${duration(s.elapsedMs)}${s.remainingMs === null ? '' : `, about ${duration(s.remainingMs)} left`}`,
          ],
        ];
  return (
    <Box flexDirection="column" width={width} height={height}>
      <Rule title="Totals" width={width} />
      {values.slice(0, height - 1).map(([name, value]) => (
        <Text key={name} wrap="truncate">{`${name.padEnd(10)}${value}`}</Text>
      ))}
    </Box>
  );
}

/** How busy each tier is, how full the rings are, and what rows wait for. */
export function Gauges({ snapshot, width, height }: Room & { snapshot: Snapshot | null }) {
  const { reader, hasher, writer, ringFill } = snapshot?.gauges ?? NO_GAUGES;
  const values: [string, number | null][] = [
    ['reader', reader],
    ['hasher', hasher],
    ['rings', ringFill],
    ['writer', writer],
  ];
  // Where one has to go it is the hasher, which most runs have no need of.
  const shown =
    height > values.length ? values : values.filter(([name]) => name !== 'hasher').slice(0, height - 1);
  const barWidth = Math.max(4, width - 14);
  const limit = snapshot?.limit ?? null;
  const title = limit === null ? 'Tiers' : LIMIT_TEXT[limit];
  return (
    <Box flexDirection="column" width={width} height={height}>
      <Rule title={title} width={width} />
      {shown.map(([name, value]) => {
        const drawn = bar(value ?? 0, barWidth);
        return (
          <Text key={name} wrap="truncate">
            {name.padEnd(7)}
            <Text color={value !== null && value > 0.8 ? 'yellow' : 'cyan'}>{drawn.filled}</Text>
            <Text dimColor>{drawn.rest}</Text>
            {value === null ? '     -' : `${String(Math.round(value * 100)).padStart(4)} %`}
          </Text>
        );
      })}
    </Box>
  );
}

export function LogTail({ lines, width, height }: Room & { lines: readonly string[] }) {
  const shown = lines.slice(Math.max(0, lines.length - height + 1)).map(oneLine);
  return (
    <Box flexDirection="column" width={width} height={height}>
      <Rule title="Log" width={width} />
      {shown.map((line, i) => (
        // A log may say the same thing twice.
        // biome-ignore lint/suspicious/noArrayIndexKey: see above
        <Text key={i} wrap="truncate" {...colorOfLog(line)}>
          {line}
        </Text>
      ))}
    </Box>
  );
}

function colorOfLog(line: string): { color?: string } {
  const level = /^\d\d:\d\d:\d\d (\w+)/.exec(line)?.[1];
  if (level === 'error') return { color: 'red' };
  return level === 'warn' ? { color: 'yellow' } : {};
}

/** A text in place of everything between head and keys. */
export function Pager({
  title,
  lines,
  scroll,
  width,
  height,
}: Room & { title: string; lines: readonly string[]; scroll: number }) {
  const page = height - 1;
  const end = Math.min(lines.length, scroll + page);
  const place = lines.length > page ? `${title}, lines ${scroll + 1} to ${end} of ${lines.length}` : title;
  return (
    <Box flexDirection="column" width={width} height={height}>
      <Rule title={place} width={width} />
      {lines.slice(scroll, end).map((line, i) => (
        // A text may have the same line twice.
        // biome-ignore lint/suspicious/noArrayIndexKey: see above
        <Text key={i} wrap="truncate">
          {oneLine(line) || ' '}
        </Text>
      ))}
    </Box>
  );
}
