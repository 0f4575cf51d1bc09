/**
 * Completion for zsh.
 *
 * Pure; runs on the main thread.
 */
import type { Completed, CompletedCommand, CompletedOption, Values } from './model.js';

export function zshCompletion({ program, options, commands }: Completed): string {
  const name = `_${program.replaceAll('-', '_')}`;
  const described = commands.map((command) => quoted(`${escaped(command.name)}:${command.description}`));
  return `#compdef ${program}
# Completion of ${program} for zsh: a file _${program} in a folder of $fpath, or eval "$(${program} completion zsh)"
${name}() {
  local context state state_descr line ret=1
  typeset -A opt_args
  local -a everywhere commands
  everywhere=(
${options.map((option) => `    ${specification(option)}`).join('\n')}
  )
  commands=(
${described.map((line) => `    ${line}`).join('\n')}
  )
  _arguments -C $everywhere '1: :->command' '*:: :->rest' && ret=0
  case $state in
    command) _describe -t commands command commands && ret=0 ;;
    rest)
      case $words[1] in
${commands.map(commandCase).join('\n')}
      esac
      ;;
  esac
  return ret
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  ${name} "$@"
else
  compdef ${name} ${program}
fi`;
}

function commandCase({ name, options, argument }: CompletedCommand): string {
  const specifications = options.map(specification);
  if (argument !== null) specifications.push(quoted(`1:${name}:${action(argument)}`));
  return `        ${name}) _arguments $everywhere ${specifications.join(' ')} && ret=0 ;;`;
}

/** `'(-c --config)'{-c,--config}'[configuration file]:value:_files'` */
function specification({ names, description, values }: CompletedOption): string {
  const value = values === null ? '' : `:value:${action(values)}`;
  const text = quoted(`[${escaped(description)}]${value}`);
  // A long option may also have its value behind a =.
  const spelled = names.map((name) => (values !== null && name.startsWith('--') ? `${name}=` : name));
  const [only] = spelled;
  if (spelled.length === 1) return `${quoted(only as string)}${text}`;
  return `${quoted(`(${names.join(' ')})`)}{${spelled.join(',')}}${text}`;
}

function action(values: Values): string {
  if (values.kind === 'words') return `(${values.words.join(' ')})`;
  return values.kind === 'file' ? '_files' : ' ';
}

function escaped(text: string): string {
  return text.replace(/[\\[\]:]/g, '\\$&');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
