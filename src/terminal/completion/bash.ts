/**
 * Completion for bash, also the one of macOS (3.2).
 *
 * Pure; runs on the main thread.
 */
import type { Completed, CompletedOption, Values } from './model.js';

export function bashCompletion({ program, options, commands }: Completed): string {
  const name = `_${program.replaceAll('-', '_')}`;
  const valued = [
    ...options.flatMap((option) => cases('*', option)),
    ...commands.flatMap((command) => command.options.flatMap((option) => cases(command.name, option))),
  ];
  const taking = [...options, ...commands.flatMap((command) => command.options)]
    .filter(({ values }) => values !== null)
    .flatMap(({ names }) => names);
  const flags = (list: readonly CompletedOption[]) => list.flatMap(({ names }) => names).join(' ');
  return `# Completion of ${program} for bash: eval "$(${program} completion bash)"
${name}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command="" skip="" word i
  local IFS=$'\\n'
  COMPREPLY=()
  # bash takes --option=value apart at the =.
  if [[ $cur == "=" ]]; then cur=""
  elif [[ $prev == "=" ]]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ $word == "=" ]]; then skip=1; continue; fi
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$word" in
      ${[...new Set(taking)].join('|')}) skip=1 ;;
      -*) ;;
      *) command="$word"; break ;;
    esac
  done
  case "$command:$prev" in
${valued.map(({ pattern, values }) => `    ${pattern}) ${replies(values)}; return ;;`).join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case "$command" in
${commands.map((command) => `      ${command.name}) ${words(flags([...command.options, ...options]))} ;;`).join('\n')}
      *) ${words(flags(options))} ;;
    esac
    return
  fi
  case "$command" in
    "") ${words(commands.map((command) => command.name).join(' '))} ;;
${commands
  .flatMap((command) =>
    command.argument === null ? [] : [`    ${command.name}) ${replies(command.argument)} ;;`],
  )
  .join('\n')}
  esac
}
complete -F ${name} ${program}`;
}

function cases(command: string, { names, values }: CompletedOption): { pattern: string; values: Values }[] {
  if (values === null) return [];
  return [{ pattern: names.map((name) => `${command}:${name}`).join('|'), values }];
}

function replies(values: Values): string {
  if (values.kind === 'words') return words(values.words.join(' '));
  if (values.kind === 'any') return ':';
  return 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"))';
}

/** The list is split at blanks, whatever IFS is outside. */
function words(list: string): string {
  return `COMPREPLY=($(IFS=' '; compgen -W "${list}" -- "$cur"))`;
}
