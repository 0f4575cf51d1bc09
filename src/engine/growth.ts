/**
 * When a run gets more threads: from what its lanes were seen to wait for. Pure; main thread.
 *
 * A run begins with the threads `Sizes` names for the beginning. Where the rows of a lane wait for its writers, it gets
 * another writer; where work waits and every lane is busy, as many lanes again are begun. Neither happens while the
 * cores are busy already: then more threads only cost. None is taken away: one that waits costs no CPU, and chunks go to
 * the ring with most room, of equal ones the first, so that writers the rows don't need stay idle.
 */
import type { ErrorData } from '../errors.js';

/** What was seen of a lane since the last look. */
export interface LaneLook {
  /** Its reader has read rows, or has come back for more work. */
  hasRead: boolean;
  /** Its reader waits for work. */
  idle: boolean;
  /** At least half of every open ring's slots wait for their writer, and did so at the last look. */
  waitsForWriters: boolean;
  /** The writer that was begun last has written something. */
  writersUp: boolean;
  /** Rings whose writer has begun, and all there are. */
  openRings: number;
  rings: number;
}

export interface Growth {
  /** Lanes, by number, whose next ring is opened. */
  openRing: number[];
  /** Lanes to begin. */
  lanes: number;
}

/** Of the machine's cores, from this share on they are busy. */
export const BUSY_SHARE = 0.9;

/**
 * @param lanesLeft lanes that may still be begun
 * @param workWaits there is work that no lane has taken
 * @param busyShare share of the cores' time that was used since the last look, by anybody
 */
export function growth(
  looks: readonly LaneLook[],
  lanesLeft: number,
  workWaits: boolean,
  busyShare: number,
): Growth {
  if (busyShare >= BUSY_SHARE) return { openRing: [], lanes: 0 };
  const openRing = looks.flatMap((look, lane) =>
    look.waitsForWriters && look.writersUp && look.openRings < look.rings ? [lane] : [],
  );
  const allBusy = looks.every(({ hasRead, idle }) => hasRead && !idle);
  const lanes = openRing.length === 0 && workWaits && allBusy ? Math.min(looks.length, lanesLeft) : 0;
  return { openRing, lanes };
}

/**
 * @param mostLanes lanes there may be
 * @returns what is begun, and why, as lines for the log
 */
export function growthLines(
  { openRing, lanes }: Growth,
  looks: readonly LaneLook[],
  mostLanes: number,
  busyShare: number,
): string[] {
  const free = `the cores are ${Math.round(busyShare * 100)} % busy`;
  const lines = openRing.map((lane) => {
    const { openRings, rings } = looks[lane]!;
    return `lane ${lane + 1}: writer ${openRings + 1} of up to ${rings} begins; rows wait for the writers, and ${free}`;
  });
  if (lanes > 0) {
    const all = looks.length + lanes;
    lines.push(`lanes: now ${all} of up to ${mostLanes}; work waits, every lane is busy, and ${free}`);
  }
  return lines;
}

/** @returns that it stays at the lanes and writers there are, and why, as a line for the log */
export function limitLine(lanes: number, { message, remedy }: ErrorData): string {
  const what = lanes === 1 ? 'the one lane there is works' : `the ${lanes} lanes there are work`;
  return `no more lanes or writers are begun, and ${what} on: ${message}${remedy === undefined ? '' : `; what to do: ${remedy}`}`;
}
