/**
 * Loads the full-screen part of the program, and has it draw.
 *
 * Runs on the main thread. Nothing of ink and React is loaded before.
 */
import type { ReadStream, WriteStream } from 'node:tty';
import type { FullScreen } from '../../observe/progress.js';
import { Canvas } from './canvas.js';
import type { Desk } from './desk.js';

export interface TuiOptions {
  desk: Desk;
  title: string;
  warning: string;
  input: ReadStream;
  output: WriteStream;
  /** Given the screen as soon as it is there, to leave it whatever happens. */
  onEnter(screen: FullScreen): void;
}

/** Draws until the desk is left; the terminal is as it was before when this settles. */
export async function openTui({ desk, title, warning, input, output, onEnter }: TuiOptions): Promise<void> {
  const { draw } = await withEnvironment(
    {
      // Who asks for this at a terminal is no CI, in which ink would draw nothing.
      CI: 'false',
      CONTINUOUS_INTEGRATION: 'false',
      // React's other builds are slower, and keep a record of every redraw in memory.
      NODE_ENV: 'production',
      // Colors are decided by the stream that is drawn on and NO_COLOR, not by what stdout is.
      FORCE_COLOR: colorLevel(output),
    },
    () => import('./open.js'),
  );
  const canvas = new Canvas(output, input);
  onEnter({ log: (text) => desk.addLog(text), leave: () => canvas.leave() });
  try {
    await draw({ desk, canvas, title, warning, color: colorLevel(output) !== '0' }, input);
  } finally {
    canvas.leave();
  }
}

function colorLevel(output: WriteStream): string {
  if (!output.hasColors()) return '0';
  return { 1: '0', 4: '1', 8: '2', 24: '3' }[output.getColorDepth()] ?? '1';
}

async function withEnvironment<T>(variables: Record<string, string>, load: () => Promise<T>): Promise<T> {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  try {
    return await load();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
