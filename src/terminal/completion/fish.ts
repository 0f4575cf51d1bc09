/**
 * Completion for fish.
 *
 * Pure; runs on the main thread.
 */
import type { Completed, CompletedOption, Values } from './model.js';

export function fishCompletion({ program, options, commands }: Completed): string {
  const names = commands.map(({ name }) => name).join(' ');
  const none = quoted(`not __fish_seen_subcommand_from ${names}`);
  const lines = [
    `# Completion of ${program} for fish: ${program} completion fish > ~/.config/fish/completions/${program}.fish`,
    `complete -c ${program} -f`,
    ...options.map((option) => `complete -c ${program}${flags(option)}`),
  ];
  for (const { name, description, options: own, argument } of commands) {
    const inside = quoted(`__fish_seen_subcommand_from ${name}`);
    lines.push(`complete -c ${program} -n ${none} -a ${name} -d ${quoted(description)}`);
    lines.push(...own.map((option) => `complete -c ${program} -n ${inside}${flags(option)}`));
    if (argument?.kind === 'words') {
      lines.push(`complete -c ${program} -n ${inside} -a ${quoted(argument.words.join(' '))}`);
    }
  }
  return lines.join('\n');
}

/** ` -s c -l config -r -F -d 'configuration file'` */
function flags({ names, description, values }: CompletedOption): string {
  const spelled = names.map((name) =>
    name.startsWith('--') ? ` -l ${name.slice(2)}` : ` -s ${name.slice(1)}`,
  );
  return `${spelled.join('')}${valueFlags(values)} -d ${quoted(description)}`;
}

function valueFlags(values: Values | null): string {
  if (values === null) return '';
  if (values.kind === 'words') return ` -x -a ${quoted(values.words.join(' '))}`;
  return values.kind === 'file' ? ' -r -F' : ' -x';
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
