/**
 * Other tools beside the product: which of them can run here, and on what. Main thread.
 */
import { spawnSync } from 'node:child_process';
import { PEERS, type Peer, type Scenario } from './scenarios.js';

/** Shapes whose values freebcp's unescaped text holds, each NULL told from each value. */
const WITHOUT_TEXT = ['votes', 'decimals'];

/** What the tools need, and the Debian package each is in. */
const PROGRAMS: Record<Peer, Record<string, string>> = {
  freebcp: { freebcp: 'freetds-bin', psql: 'postgresql-client' },
  pgloader: { pgloader: 'pgloader' },
};

/** @returns the scenarios, those that other tools can do with them beside the product; says why where they can't. */
export function withPeers(scenarios: readonly Scenario[], say: (line: string) => void): Scenario[] {
  const peers = PEERS.filter((peer) => {
    const missing = Object.entries(PROGRAMS[peer]).filter(([program]) => !installed(program));
    for (const [program, debian] of missing) {
      say(`${peer} is left out: ${program} is not installed (Debian: ${debian})`);
    }
    return missing.length === 0;
  });
  return scenarios.map((scenario) => {
    if (scenario.mode !== 'full' || scenario.hosts !== undefined) return scenario;
    const able = peers.filter((peer) => peer !== 'freebcp' || WITHOUT_TEXT.includes(scenario.shape));
    if (able.length < peers.length) {
      say(`freebcp is left out for ${scenario.shape}: it writes text without escaping`);
    }
    return { ...scenario, against: [...scenario.against, ...able] };
  });
}

function installed(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}
