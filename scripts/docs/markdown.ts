/** What the generated parts of the documentation are written with. Pure. */

/** A table. Cells are Markdown; a bar in one of them is escaped. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(titles), `|${titles.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

export function code(text: string): string {
  return `\`${text}\``;
}

/** `a`, `b` and `c`. */
export function list(items: readonly string[]): string {
  return items.map(code).join(', ');
}
