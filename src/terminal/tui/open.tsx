/**
 * Draws the screen until it is left.
 *
 * Runs on the main thread. Only `load.ts` imports this: ink and React settle by the environment, as they are loaded,
 * how they behave.
 */
import { render } from 'ink';
import { App, type AppProps } from './App.js';

/** @throws what a part of the screen threw while it was drawn */
export async function draw(props: AppProps, input: NodeJS.ReadStream): Promise<void> {
  // What ink asks of a stream, the canvas has.
  const stream = props.canvas as unknown as NodeJS.WriteStream;
  const screen = render(<App {...props} />, {
    stdout: stream,
    stderr: stream,
    stdin: input,
    exitOnCtrlC: false,
    patchConsole: false,
    // Whole frames, and no cursor movements between them: the canvas draws what has changed.
    debug: true,
  });
  const broken = screen.waitUntilExit();
  try {
    await Promise.race([props.desk.left, broken]);
  } finally {
    screen.unmount();
    await broken.catch(() => {});
  }
}
