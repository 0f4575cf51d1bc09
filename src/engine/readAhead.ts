/**
 * Keeps an iteration going while what it gives is not asked for yet. Any thread.
 */

/**
 * Gives what `values` gives, in its order, and takes at most `limit` of them ahead: whoever makes them and whoever uses
 * them then work at the same time, and little is held. A failure comes behind the values before it.
 */
export async function* readAhead<Value>(
  values: AsyncGenerator<Value, void, void>,
  limit: number,
): AsyncGenerator<Value, void, void> {
  const taken: Value[] = [];
  let stopped = false;
  let hasEnded = false;
  let onTaken = (): void => {};
  let onRoom = (): void => {};
  const take = async (): Promise<void> => {
    try {
      while (!stopped) {
        const { value, done } = await values.next();
        if (done) return;
        taken.push(value);
        onTaken();
        while (taken.length >= limit && !stopped) {
          await new Promise<void>((resolve) => {
            onRoom = resolve;
          });
        }
      }
    } finally {
      hasEnded = true;
      onTaken();
    }
  };
  const taking = take();
  // Thrown below, once it is its turn.
  taking.catch(() => {});
  try {
    for (;;) {
      while (taken.length > 0) {
        const value = taken.shift()!;
        onRoom();
        yield value;
      }
      if (hasEnded) break;
      await new Promise<void>((resolve) => {
        onTaken = resolve;
      });
    }
    await taking;
  } finally {
    stopped = true;
    onRoom();
    await taking.catch(() => {});
    await values.return();
  }
}
