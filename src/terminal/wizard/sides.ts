/**
 * The questions about the two servers, each connection tried as soon as it is known.
 *
 * Runs on the main thread.
 */
import { configDocument, type GivenSection, wrongValue } from '../../config/document.js';
import { readConfig } from '../../config/load.js';
import type { Config, SourceConfig, TargetConfig } from '../../config/schema.js';
import type { Environment } from '../../config/variables.js';
import { checkSource, checkTarget, type Findings } from '../../engine/health.js';
import type { Prompts } from './prompts.js';

/** What is known of a side: the answers, and where it could be reached the settings that reach it. */
export interface SideAnswers<T> {
  given: GivenSection;
  /** Password of this conversation; the file only ever has the variable's name. */
  password: string;
  /** Null where it was decided to go on without a connection. */
  config: T | null;
}

type Answers = Record<string, string | number | boolean>;

interface SideKind<T> {
  section: 'source' | 'target';
  title: string;
  passwordVariable: string;
  ask(prompts: Prompts, before: Answers): Promise<Answers>;
  check(options: T): Promise<Findings>;
  describe(options: T, findings: Findings): string;
}

/** Stands for the other side while only one is known. */
const PLACEHOLDER = { host: 'localhost', database: 'unknown', user: 'unknown', password: '' };

export function askSource(prompts: Prompts, environment: Environment): Promise<SideAnswers<SourceConfig>> {
  return askSide<SourceConfig>(prompts, environment, {
    section: 'source',
    title: 'SQL Server',
    passwordVariable: 'MSSQL_PASSWORD',
    ask: async (p, before) => {
      const address = await askAddress(p, 'source', 'SQL Server', {
        host: 'localhost',
        port: 1433,
        user: 'sa',
        ...before,
      });
      const encryption = await p.choose<string>(
        'Encryption of the connection to SQL Server',
        [
          { value: 'checked', label: 'encrypted', hint: "the server's certificate is checked" },
          { value: 'unchecked', label: 'encrypted, any certificate', hint: 'self-signed, development only' },
          {
            value: 'none',
            label: 'not encrypted',
            hint: 'passwords and rows cross the network in the clear',
          },
        ],
        before.encrypt === false ? 'none' : before.trust_server_cert === true ? 'unchecked' : 'checked',
      );
      return {
        ...address,
        encrypt: encryption === 'strict' ? 'strict' : encryption !== 'none',
        ...((encryption === 'checked' || encryption === 'unchecked') && {
          trust_server_cert: encryption === 'unchecked',
        }),
      };
    },
    check: checkSource,
    describe: (_options, { server_version }) => `SQL Server ${server_version}`,
  });
}

export function askTarget(
  prompts: Prompts,
  environment: Environment,
  sourceDatabase: string,
): Promise<SideAnswers<TargetConfig>> {
  return askSide<TargetConfig>(prompts, environment, {
    section: 'target',
    title: 'PostgreSQL',
    passwordVariable: 'POSTGRES_PASSWORD',
    ask: async (p, before) => {
      const address = await askAddress(p, 'target', 'PostgreSQL', {
        // What psql would take, too.
        host: environment.PGHOST ?? 'localhost',
        port: Number(environment.PGPORT ?? 5432) || 5432,
        database: environment.PGDATABASE ?? sourceDatabase.toLowerCase(),
        user: environment.PGUSER ?? 'postgres',
        ...before,
      });
      const mode = await p.choose(
        'TLS to PostgreSQL',
        [
          { value: 'require', label: 'require', hint: 'encrypted, the certificate is not checked' },
          {
            value: 'verify-full',
            label: 'verify-full',
            hint: "encrypted, the host's certificate is checked",
          },
          { value: 'prefer', label: 'prefer', hint: 'encrypted where the server can' },
          { value: 'disable', label: 'disable', hint: 'rows and passwords cross the network in the clear' },
        ],
        (before.ssl_mode as 'require' | undefined) ?? 'require',
      );
      return { ...address, ssl_mode: mode };
    },
    check: checkTarget,
    describe: (_options, { server_version, facts }) =>
      `PostgreSQL ${server_version}, ${facts.encrypted === true ? 'encrypted' : 'not encrypted'}`,
  });
}

async function askAddress(
  p: Prompts,
  section: 'source' | 'target',
  title: string,
  before: Answers,
): Promise<Answers> {
  const ask = (key: string, message: string) =>
    p.text({
      message: `${title}: ${message}`,
      ...(before[key] !== undefined && { initial: String(before[key]) }),
      check: (answer) => wrongValue(section, key, answer),
    });
  const host = await ask('host', 'host name or address');
  const port = await ask('port', 'port');
  const database = await ask('database', 'database');
  const user = await ask('user', 'user');
  return { host, port: /^\d+$/.test(port) ? Number(port) : port, database, user };
}

async function askSide<T extends SourceConfig | TargetConfig>(
  prompts: Prompts,
  environment: Environment,
  kind: SideKind<T>,
): Promise<SideAnswers<T>> {
  let answers: Answers = {};
  let variable = kind.passwordVariable;
  let password = '';
  let asked = false;
  for (;;) {
    if (!asked) {
      answers = await kind.ask(prompts, answers);
      variable = await askVariable(prompts, kind.title, variable);
      password = await passwordOf(prompts, environment, kind.title, variable);
      asked = true;
    }
    const given = { ...answers, password: `\${${variable}}` };
    try {
      const config = settingsOf<T>(kind.section, given, { ...environment, [variable]: password });
      prompts.step(
        `Connecting to ${config.user} at ${config.host}:${config.port}, database ${config.database} ...`,
      );
      const findings = await kind.check(config);
      prompts.success(
        `${kind.describe(config, findings)}; connected in ${findings.connect_ms} ms, a query takes ${findings.latency_ms} ms`,
      );
      return { given, password, config };
    } catch (error) {
      prompts.error(error);
      const next = await prompts.choose('What now?', [
        { value: 'edit', label: 'change the answers' },
        { value: 'retry', label: 'try again', hint: 'after the server was seen to' },
        { value: 'go on', label: 'go on without a connection', hint: 'tables are then chosen by pattern' },
      ]);
      if (next === 'go on') return { given, password, config: null };
      asked = next === 'retry';
    }
  }
}

/** One side's settings, checked as a file's are. */
function settingsOf<T extends SourceConfig | TargetConfig>(
  section: 'source' | 'target',
  given: GivenSection,
  environment: Environment,
): T {
  const document = configDocument(
    { source: PLACEHOLDER, target: PLACEHOLDER, migration: {}, [section]: given },
    { heading: [], allKeys: false },
  );
  const config: Config = readConfig(document, { file: 'these answers', environment });
  return config[section] as T;
}

function askVariable(prompts: Prompts, title: string, initial: string): Promise<string> {
  return prompts.text({
    message: `${title}: environment variable that holds the password`,
    initial,
    check: (answer) =>
      /^[A-Za-z_][A-Za-z0-9_]*$/.test(answer)
        ? undefined
        : 'Give a name of letters, digits and _; the password itself is never written to the file.',
  });
}

async function passwordOf(
  prompts: Prompts,
  environment: Environment,
  title: string,
  variable: string,
): Promise<string> {
  const known = environment[variable];
  if (known !== undefined) {
    prompts.info(`The password is taken from ${variable}, which is set.`);
    return known;
  }
  return prompts.secret(`${title}: password (to try the connection; not written down)`);
}
