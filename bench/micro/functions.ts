/**
 * The functions that work on single values, and the ring. Benchmark process, main thread.
 *
 * What a function answers is looked at before it is timed.
 */
import { writeTimestamp } from '../../src/copy/datetime.js';
import { writeDecimal, writeMoney } from '../../src/copy/numeric.js';
import { parseNumericField } from '../../src/copy/numericPlain.js';
import { writeUtf16le } from '../../src/copy/textWriters.js';
import { Md5 } from '../../src/hash/md5.js';
import { writeNumericText } from '../../src/hash/numericText.js';
import { RingConsumer } from '../../src/ring/consumer.js';
import { createLane, SLOT_KIND } from '../../src/ring/layout.js';
import { LaneProducer } from '../../src/ring/producer.js';
import { kernelBuffer } from '../../test/support/kernelMemory.js';
import type { Micro } from './micro.js';

/** A buffer with its view, as the generated code has them. */
function room(bytes: number): { buffer: Buffer; view: DataView } {
  const buffer = Buffer.alloc(bytes);
  return { buffer, view: new DataView(buffer.buffer, buffer.byteOffset, bytes) };
}

function expect(what: string, found: string, expected: string): void {
  if (found !== expected) throw new Error(`${what} gives ${found}, expected ${expected}`);
}

export function numbers(): Micro[] {
  const input = room(32);
  const out = room(64);
  const unscaled = (end: number) => String(parseNumericField(out.buffer, 4, end - 4).unscaled);
  const decimal = (precision: number, scale: number, value: bigint): Micro => {
    const bytes = value < 2n ** 32n ? 4 : value < 2n ** 64n ? 8 : 16;
    const magnitude = Buffer.from(value.toString(16).padStart(2 * bytes, '0'), 'hex').reverse();
    const call = () => writeDecimal(magnitude, 0, bytes, false, scale, out.buffer, out.view, 0);
    return {
      name: `decimal(${precision},${scale})`,
      bytes: null,
      call,
      check: () => expect('writeDecimal', unscaled(call()), String(value)),
    };
  };
  const money = () => writeMoney(7, 123_456_789, out.buffer, out.view, 0);
  return [
    decimal(9, 2, 123_456_789n),
    decimal(19, 4, 1_234_567_890_123_456_789n),
    decimal(38, 10, 12_345_678_901_234_567_890_123_456_789_012_345_678n),
    {
      name: 'money',
      bytes: null,
      call: money,
      check: () => expect('writeMoney', unscaled(money()), String(7n * 2n ** 32n + 123_456_789n)),
    },
    {
      name: 'timestamp',
      bytes: null,
      call: () => writeTimestamp(3135, 78_172_000_000, out.buffer, out.view, 0),
      check: () => {
        const end = writeTimestamp(0, 1_000_000, out.buffer, out.view, 0);
        expect('writeTimestamp', out.buffer.toString('hex', 0, end), '0000000800000000000f4240');
      },
    },
    {
      name: 'numeric as text, for the hash',
      bytes: null,
      call: () => writeNumericText(input.view, 0, 12, 4, out.buffer, 0),
      check: () => {
        // 12.3400: two digits of base 10,000, weight 0, scale 4.
        input.buffer.write('0002000000000004000c0d48', 'hex');
        const bytes = writeNumericText(input.view, 0, 12, 4, out.buffer, 0);
        expect('writeNumericText', out.buffer.toString('latin1', 0, bytes), '12.3400');
      },
    },
  ];
}

const SENTENCE = 'The order of the keys must not change; the report runs once an hour. ';
const WORLD = 'Größe und Länge müssen stimmen; 価格は税込みです。 Вопрос про кодировку. ';

export function texts(): Micro[] {
  const kinds: [string, string][] = [
    ['ASCII', SENTENCE],
    ['five scripts', WORLD],
    ['ASCII but for the end', SENTENCE],
  ];
  return [10, 40, 200, 1400, 10_000].flatMap((characters) =>
    kinds.map(([kind, sample], i): Micro => {
      const text = sample
        .repeat(Math.ceil(characters / sample.length))
        .slice(0, characters - (i === 2 ? 1 : 0));
      const source = Buffer.from(i === 2 ? `${text}é` : text, 'utf16le');
      const bytes = source.length;
      const memory = kernelBuffer(4 * bytes);
      memory.set(source);
      return {
        name: `UTF-16 to UTF-8, ${characters} characters, ${kind}`,
        bytes,
        call: () => writeUtf16le(memory, 0, bytes, memory, bytes),
        check: () => {
          const end = writeUtf16le(memory, 0, bytes, memory, bytes);
          expect('writeUtf16le', memory.toString('utf8', bytes, end), source.toString('utf16le'));
        },
      };
    }),
  );
}

export function hashes(): Micro[] {
  const md5 = new Md5();
  const out = room(32);
  return [50, 200, 1700, 16_384].map((bytes): Micro => {
    const input = room(bytes);
    input.buffer.fill('a');
    const call = () => {
      md5.init();
      md5.update(input.view, 0, bytes);
      md5.finish(out.view, 0);
    };
    return {
      name: `MD5, ${bytes} bytes`,
      bytes,
      call,
      check: () => {
        md5.init();
        md5.update(input.view, 0, 0);
        md5.finish(out.view, 0);
        expect('MD5 of nothing', out.buffer.toString('latin1'), 'd41d8cd98f00b204e9800998ecf8427e');
      },
    };
  });
}

/** A slot handed over and given back, both ends in one thread: what the sequences cost, without any waking up. */
export function ring(): Micro {
  const lane = createLane({ rings: 1, slotsPerRing: 8, slotBytes: 65_536, hashing: 'none' });
  const producer = new LaneProducer(lane).roomiest();
  const consumer = new RingConsumer(lane, 0);
  const call = () => {
    if (producer.tryReserve() < 0) throw new Error('the ring has no room');
    producer.publish(SLOT_KIND.DATA, 65_536, 1, 0);
    if (!consumer.tryPeek()) throw new Error('the slot did not arrive');
    consumer.advance();
    consumer.release(1);
  };
  return { name: 'ring: a slot there and back', bytes: null, call, check: call };
}
