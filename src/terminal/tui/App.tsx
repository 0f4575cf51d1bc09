/**
 * The screen as a whole: which parts there are at this size, and the overlay over them.
 *
 * Runs on the main thread. Redrawn a few times a second from the tally of the task under way, and after each key.
 */
import { Box, Text, useInput } from 'ink';
import { useEffect, useReducer, useState } from 'react';
import type { Canvas } from './canvas.js';
import type { Desk, Standing } from './desk.js';
import { FIRST_VIEW, pressAll, type View } from './keys.js';
import { Gauges, Head, LogTail, Pager, type Room, Rule, Tables, Throughput, Totals } from './panels.js';
import { type TableRow, tableRows } from './rows.js';
import { detailText, helpText, resultText } from './texts.js';

export interface AppProps {
  desk: Desk;
  canvas: Canvas;
  /** What is moved where. */
  title: string;
  /** What a run does to the target first, in the question before one. */
  warning: string;
  color: boolean;
}

const REDRAW_MS = 200;
const LEAST_COLUMNS = 60;
const LEAST_ROWS = 15;
/** From here on plot and gauges stand beside the tables. */
const WIDE_COLUMNS = 110;

export function App({ desk, canvas, title, warning, color }: AppProps) {
  const [, redraw] = useReducer((times: number) => times + 1, 0);
  const [view, setView] = useState<View>(FIRST_VIEW);
  useEffect(() => {
    desk.onChange = redraw;
    canvas.on('resize', redraw);
    const timer = setInterval(redraw, REDRAW_MS);
    return () => {
      clearInterval(timer);
      canvas.off('resize', redraw);
      desk.onChange = () => {};
    };
  }, [desk, canvas]);

  const { columns: width } = canvas;
  const { rows: height } = canvas;
  const standing = desk.standing();
  const snapshot = standing?.snapshot ?? null;
  const rows = tableRows(desk.task, snapshot?.tables ?? [], view.filter, view.sort);
  const selected = Math.min(view.selected, Math.max(0, rows.length - 1));
  const text = overlayText(view, desk, rows[selected], width);
  const page = Math.max(1, height - 4);
  useInput((input, key) => {
    const at = { desk, rows: rows.length, page, textLines: text?.lines.length ?? 0 };
    setView((before) =>
      pressAll({ ...before, selected: Math.min(before.selected, at.rows) }, input, key, at),
    );
  });

  if (width < LEAST_COLUMNS || height < LEAST_ROWS) {
    return (
      <Box width={width} height={height}>
        <Text wrap="truncate">{`terminal too small: ${width}x${height}, needs ${LEAST_COLUMNS}x${LEAST_ROWS}`}</Text>
      </Box>
    );
  }
  const body = { width, height: height - 3 };
  return (
    <Box flexDirection="column" width={width} height={height}>
      <Head desk={desk} title={title} snapshot={snapshot} width={width} color={color} />
      {view.overlay === 'quit' || view.overlay === 'confirm run' ? (
        <Question desk={desk} overlay={view.overlay} warning={warning} {...body} />
      ) : text !== null ? (
        <Pager title={text.title} lines={text.lines} scroll={view.scroll} {...body} />
      ) : (
        <Body desk={desk} rows={rows} selected={selected} view={view} standing={standing} {...body} />
      )}
      <Keys view={view} desk={desk} width={width} />
    </Box>
  );
}

type BodyProps = Room & {
  desk: Desk;
  rows: readonly TableRow[];
  selected: number;
  view: View;
  standing: Standing | null;
};

function Body({ desk, rows, selected, view, standing, width, height }: BodyProps) {
  const snapshot = standing?.snapshot ?? null;
  const all = snapshot?.tables.length ?? 0;
  const filter = view.filter === '' ? '' : `, filter "${view.filter}"`;
  const tables = {
    title: `Tables ${rows.length === all ? all : `${rows.length} of ${all}`}, by ${view.sort}${filter}`,
    rows,
    selected,
  };
  const history = standing?.history ?? [];
  const live = desk.busy ? snapshot : null;
  const wide = width >= WIDE_COLUMNS;
  const sideWidth = wide ? 38 : Math.floor(width * 0.45);
  const logHeight = Math.max(3, Math.min(wide ? 10 : 8, Math.floor(height / 4)));
  const gaugesHeight = height < 16 ? 4 : 5;
  if (wide) {
    const upper = height - logHeight;
    const totalsHeight = upper >= 18 ? 6 : 0;
    return (
      <Box flexDirection="column">
        <Box>
          <Tables {...tables} width={width - sideWidth - 1} height={upper} />
          <Box flexDirection="column" marginLeft={1}>
            <Throughput history={history} width={sideWidth} height={upper - 5 - totalsHeight} />
            <Gauges snapshot={live} width={sideWidth} height={5} />
            {totalsHeight > 0 && <Totals snapshot={snapshot} width={sideWidth} height={totalsHeight} />}
          </Box>
        </Box>
        <LogTail lines={desk.log} width={width} height={logHeight} />
      </Box>
    );
  }
  return (
    <Box flexDirection="column">
      <Tables {...tables} width={width} height={height - gaugesHeight - logHeight} />
      <Box>
        <Throughput history={history} width={width - sideWidth - 1} height={gaugesHeight} />
        <Box marginLeft={1}>
          <Gauges snapshot={live} width={sideWidth} height={gaugesHeight} />
        </Box>
      </Box>
      <LogTail lines={desk.log} width={width} height={logHeight} />
    </Box>
  );
}

function overlayText(view: View, desk: Desk, row: TableRow | undefined, width: number) {
  switch (view.overlay) {
    case 'help':
      return { title: 'Keys', lines: helpText() };
    case 'result':
      return {
        title: `Result of the last ${desk.task?.name ?? 'task'}`,
        lines: resultText(desk.task, width),
      };
    case 'details':
      return row === undefined ? null : { title: row.snapshot.table, lines: detailText(row, width) };
    default:
      return null;
  }
}

function Question({
  desk,
  overlay,
  warning,
  width,
  height,
}: Room & { desk: Desk; overlay: 'quit' | 'confirm run'; warning: string }) {
  const lines =
    overlay === 'confirm run'
      ? [warning, '', 'y  start the run', 'f  start it, and give up an unfinished one for good', 'n  go back']
      : desk.leaving
        ? [
            'Waiting for chunks under way to be committed.',
            '',
            'q  end at once; resume goes on with what is missing',
          ]
        : [
            `A ${desk.task?.name ?? 'task'} is under way.`,
            '',
            'y  stop it, then quit: chunks under way are still committed, resume goes on later',
            'n  go back',
          ];
  return (
    <Box flexDirection="column" width={width} height={height}>
      <Rule title={overlay === 'quit' ? 'Quit?' : 'Run?'} width={width} />
      {lines.map((line) => (
        <Text key={line}>{line || ' '}</Text>
      ))}
    </Box>
  );
}

/** A key's meaning; where there is no room, those with the highest rank are left out. */
type KeyHint = readonly [key: string, meaning: string, rank: number];

function Keys({ view, desk, width }: { view: View; desk: Desk; width: number }) {
  if (view.filtering) {
    return <Text wrap="truncate">{`filter: ${view.filter}\u2588   Enter keeps it, Esc takes it away`}</Text>;
  }
  let hints = keyHints(view, desk);
  const room = () => hints.reduce((sum, [key, meaning]) => sum + key.length + meaning.length + 3, -2);
  while (room() > width) {
    const most = Math.max(...hints.map(([, , rank]) => rank));
    if (most === 0) break;
    hints = hints.filter(([, , rank]) => rank < most);
  }
  return (
    <Text wrap="truncate">
      {hints.map(([key, meaning], i) => (
        <Text key={key}>
          {i > 0 ? '  ' : ''}
          <Text bold>{key}</Text> {meaning}
        </Text>
      ))}
    </Text>
  );
}

function keyHints({ overlay }: View, { busy }: Desk): readonly KeyHint[] {
  if (overlay === 'quit' || overlay === 'confirm run') return [];
  if (overlay !== null) {
    return [
      ['Esc', 'back', 0],
      ['up, down', 'scroll', 0],
    ];
  }
  const tasks: KeyHint[] = busy
    ? [['s', 'stop', 0]]
    : [
        ['r', 'run', 0],
        ['d', 'dry run', 0],
        ['v', 'verify', 0],
        ['e', 'resume', 0],
      ];
  return [
    ...tasks,
    ['Enter', 'details', 1],
    ['t', 'result', 4],
    ['/', 'filter', 2],
    ['o', 'order', 3],
    ['?', 'help', 0],
    ['q', 'quit', 0],
  ];
}
