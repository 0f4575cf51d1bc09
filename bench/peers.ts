/**
 * Other tools beside the product: which of them can run here, and on what. Main thread.
 */
import { spawnSync } from 'node:child_process';
import type { Scenario } from './scenarios.js';

/** Shapes whose values freebcp's unescaped text holds, each NULL told from each value. */
const WITHOUT_TEXT = ['votes', 'decimals'];

/** @returns the scenarios, those that other tools can do with them beside the product; says why where they can't. */
export function withPeers(scenarios: readonly Scenario[], say: (line: string) => void): Scenario[] {
  // It wants INFORMATION_SCHEMA in forms that the replay source's engine does not have.
  say(
    installed('pgloader')
      ? 'pgloader is left out: the replay source does not answer its catalog queries; run it against a SQL Server'
      : 'pgloader is left out: it is not installed (Debian: pgloader)',
  );
  const missing = ['freebcp', 'psql'].filter((program) => !installed(program));
  if (missing.length > 0) {
    say(
      `freebcp is left out: ${missing.join(' and ')} not installed (Debian: freetds-bin, postgresql-client)`,
    );
    return [...scenarios];
  }
  return scenarios.map((scenario) => {
    if (scenario.mode !== 'full' || scenario.hosts !== undefined) return scenario;
    if (!WITHOUT_TEXT.includes(scenario.shape)) {
      say(`freebcp is left out for ${scenario.shape}: it writes text without escaping`);
      return scenario;
    }
    return { ...scenario, against: [...scenario.against, 'freebcp'] };
  });
}

function installed(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}
