/**
 * Troubleshooting by error code: the table of `src/errors.ts` with the texts beside this file.
 *
 * Main thread; pure.
 */
import { AppError, ERROR_CODES, exitCodeOf, isRetryable } from '../../src/errors.js';
import { ERROR_TEXTS } from './errorTexts.js';
import { code, table } from './markdown.js';

/** `error table`, and `errors`: each code with its causes and remedies. */
export function errorParts(): [string, string][] {
  const all = ERROR_CODES.map((name) => {
    const error = new AppError(name, name);
    return { name, exit: String(exitCodeOf(error)), retry: isRetryable(error), ...ERROR_TEXTS[name] };
  });
  return [
    [
      'error table',
      table(
        ['code', 'exit code', 'try again', 'meaning'],
        all.map(({ name, exit, retry, meaning }) => [
          `[${code(name)}](#${name.toLowerCase()})`,
          exit,
          retry ? 'may help' : 'no',
          meaning,
        ]),
      ),
    ],
    [
      'errors',
      all
        .map(({ name, exit, retry, meaning, causes, remedy }) =>
          [
            `### ${name}`,
            `${meaning} Exit code ${exit}; ${retry ? 'the same command may succeed later' : 'trying again changes nothing'}.`,
            `*Usual causes:* ${causes}`,
            `*What to do:* ${remedy}`,
          ].join('\n\n'),
        )
        .join('\n\n'),
    ],
  ];
}
