/**
 * Several asynchronous iterations at the same time, as one. Any thread.
 */

/**
 * Runs `work` on each item, at most `limit` at a time, and gives what they yield as it comes. Nothing is held: an
 * iteration goes on only once its last value was taken. The first failure ends them all.
 */
export async function* interleave<Item, Value>(
  items: Iterable<Item>,
  limit: number,
  work: (item: Item) => AsyncGenerator<Value, void, void>,
): AsyncGenerator<Value, void, void> {
  type Generator = AsyncGenerator<Value, void, void>;
  type Step = { generator: Generator; result: IteratorResult<Value, void> };
  const waiting = items[Symbol.iterator]();
  const active = new Map<Generator, Promise<Step>>();
  const advance = (generator: Generator): void => {
    const step = generator.next().then((result) => ({ generator, result }));
    // Looked at by the race; until then it is nobody's unhandled rejection.
    step.catch(() => {});
    active.set(generator, step);
  };
  const fill = (): void => {
    while (active.size < limit) {
      const next = waiting.next();
      if (next.done) return;
      advance(work(next.value));
    }
  };
  try {
    for (fill(); active.size > 0; fill()) {
      const { generator, result } = await Promise.race(active.values());
      if (result.done) {
        active.delete(generator);
        continue;
      }
      yield result.value;
      advance(generator);
    }
  } finally {
    await Promise.allSettled([...active.keys()].map((generator) => generator.return()));
  }
}

/** @returns what `work` makes of each item, at most `limit` at a time, in the items' order. */
export async function mapParallel<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = new Array(items.length);
  const numbered = items.map((item, i) => ({ item, i }));
  const each = interleave(numbered, limit, async function* ({ item, i }) {
    yield { i, result: await work(item) };
  });
  for await (const { i, result } of each) results[i] = result;
  return results;
}
