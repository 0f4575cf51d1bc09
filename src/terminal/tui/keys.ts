/**
 * What keys do: from one state of the view to the next, and what they ask the desk for.
 *
 * Pure but for the desk; runs on the main thread.
 */
import type { Key } from 'ink';
import type { Desk, TaskName } from './desk.js';
import { SORTS, type Sort } from './rows.js';

export type Overlay = 'help' | 'details' | 'result' | 'quit' | 'confirm run' | null;

export interface View {
  /** Index among the rows shown. */
  selected: number;
  filter: string;
  /** Typed characters go into the filter. */
  filtering: boolean;
  sort: Sort;
  overlay: Overlay;
  /** First line shown of an overlay's text. */
  scroll: number;
}

export const FIRST_VIEW: View = {
  selected: 0,
  filter: '',
  filtering: false,
  sort: 'plan',
  overlay: null,
  scroll: 0,
};

/** What the keys' effect depends on. */
export interface Surroundings {
  desk: Desk;
  /** Tables shown. */
  rows: number;
  /** Lines that a page of the list, or of an overlay's text, has. */
  page: number;
  /** Lines of the overlay's text. */
  textLines: number;
}

export const KEY_HELP: readonly (readonly [keys: string, meaning: string])[] = [
  ['r', 'run: migrate, after a question'],
  ['d', 'dry run: what a run would do'],
  ['v', 'verify: compare the rows of both sides'],
  ['e', 'resume: go on with an unfinished run'],
  ['s', 'stop: chunks under way are still committed'],
  ['up, down', 'choose a table (j, k; PgUp, PgDn, Home, End)'],
  ['Enter', 'details of the table, or its error'],
  ['/', 'filter tables by name; Esc takes the filter away'],
  ['o', 'order: plan, state, name, rows, rate'],
  ['t', 'text of the last result'],
  ['?', 'this help'],
  ['q', 'quit (Ctrl-C); asks while something is under way'],
];

const TASKS: Record<string, TaskName> = { d: 'dry run', v: 'verify', e: 'resume' };
/** Answers to the question before a run. */
const RUNS: Record<string, TaskName> = { y: 'run', f: 'fresh run' };

/** Keys that came together, because they were typed fast or pasted, are several. */
export function pressAll(view: View, input: string, key: Key, at: Surroundings): View {
  const characters = [...input];
  if (characters.length < 2) return press(view, input, key, at);
  return characters.reduce(
    (now, character) =>
      press(now, character, { ...key, return: character === '\r', escape: character === '\u001b' }, at),
    view,
  );
}

function press(view: View, input: string, key: Key, at: Surroundings): View {
  if (key.ctrl && input === 'c') return quit(view, at.desk);
  if (view.filtering) return typeFilter(view, input, key);
  if (view.overlay !== null) return inOverlay(view, input, key, at);
  const moved = move(view.selected, input, key, at.page);
  if (moved !== null) return { ...view, selected: Math.min(Math.max(0, moved), Math.max(0, at.rows - 1)) };
  if (key.return) return at.rows === 0 ? view : { ...view, overlay: 'details', scroll: 0 };
  if (key.escape) return { ...view, filter: '' };
  const task = TASKS[input];
  if (task !== undefined) {
    at.desk.start(task);
    return view;
  }
  switch (input) {
    case 'r':
      return at.desk.busy ? view : { ...view, overlay: 'confirm run' };
    case 's':
      at.desk.stop();
      return view;
    case '/':
      return { ...view, filtering: true };
    case 'o':
      return { ...view, sort: SORTS[(SORTS.indexOf(view.sort) + 1) % SORTS.length] as Sort };
    case 't':
      return { ...view, overlay: 'result', scroll: 0 };
    case '?':
    case 'h':
      return { ...view, overlay: 'help', scroll: 0 };
    case 'q':
      return quit(view, at.desk);
    default:
      return view;
  }
}

/** Leaves at once where nothing is under way; asks first where something is; a second time means it. */
function quit(view: View, desk: Desk): View {
  if (desk.leaving) desk.leaveNow();
  else if (!desk.busy) desk.leave();
  else if (view.overlay === 'quit') desk.leave();
  return { ...view, overlay: 'quit', filtering: false };
}

function inOverlay(view: View, input: string, key: Key, { desk, page, textLines }: Surroundings): View {
  const closed = { ...view, overlay: null };
  if (view.overlay === 'quit') {
    if (input === 'y' || input === 'q') return quit(view, desk);
    return (input === 'n' || key.escape) && !desk.leaving ? closed : view;
  }
  if (view.overlay === 'confirm run') {
    const task = RUNS[input];
    if (task !== undefined) desk.start(task);
    return task !== undefined || input === 'n' || key.escape ? closed : view;
  }
  const moved = move(view.scroll, input, key, page);
  if (moved !== null) return { ...view, scroll: Math.min(Math.max(0, moved), Math.max(0, textLines - page)) };
  return key.escape || key.return || ['q', '?', 't'].includes(input) ? closed : view;
}

/** @returns where a key moves a position to, unbounded, or null where it moves nothing. */
function move(position: number, input: string, key: Key, page: number): number | null {
  if (key.upArrow || input === 'k') return position - 1;
  if (key.downArrow || input === 'j') return position + 1;
  if (key.pageUp) return position - page;
  if (key.pageDown) return position + page;
  if (key.home || input === 'g') return 0;
  if (key.end || input === 'G') return Number.MAX_SAFE_INTEGER;
  return null;
}

function typeFilter(view: View, input: string, key: Key): View {
  if (key.return) return { ...view, filtering: false };
  if (key.escape) return { ...view, filtering: false, filter: '' };
  if (key.backspace || key.delete) return { ...view, filter: [...view.filter].slice(0, -1).join('') };
  // Arrow keys and the like bring no character.
  if (key.ctrl || key.meta || /[\u0000-\u001f]/.test(input)) return view;
  return { ...view, filter: view.filter + input, selected: 0 };
}
