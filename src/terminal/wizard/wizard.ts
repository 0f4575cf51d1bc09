/**
 * The conversation of `init` on one page: both servers, tables, mode, sizes, and the file that says it all.
 *
 * Runs on the main thread. Nothing is written here; the servers are only looked at.
 */
import { configDocument, type Given, type GivenValue, literally } from '../../config/document.js';
import { readConfig } from '../../config/load.js';
import type { Config } from '../../config/schema.js';
import type { Environment } from '../../config/variables.js';
import { serverFacts } from '../../source/catalog.js';
import { connectSource } from '../../source/connection.js';
import type { SourceTable } from '../../source/model.js';
import { connectTarget, type TargetConnection } from '../../target/connection.js';
import { askMigration, askReads, type HostSizes, hostSizes } from './advanced.js';
import { askMode, consequences, type ModeName, type Proposal, proposeMode, surveyTarget } from './mode.js';
import type { Prompts } from './prompts.js';
import { askSource, askTarget } from './sides.js';
import { askTables, askTablesBlind, readTables, type TableAnswers } from './tables.js';
import { HEADING } from './template.js';

export interface WizardOptions {
  environment: Environment;
  /** Asks about sizes and the finer points, too. */
  advanced: boolean;
}

export interface WizardResult {
  /** The configuration file. */
  text: string;
  mode: ModeName;
  /** Tables the file selects now; null where the source was not reached. */
  tables: number | null;
  /** Variables a run needs. */
  variables: string[];
}

/** @throws AppError CANCELLED where the conversation is broken off */
export async function runWizard(prompts: Prompts, options: WizardOptions): Promise<WizardResult> {
  const { environment, advanced } = options;
  const source = await askSource(prompts, environment);
  let snapshotAllowed = true;
  let answers: TableAnswers;
  if (source.config === null) answers = await askTablesBlind(prompts);
  else {
    const connection = await connectSource(source.config);
    try {
      snapshotAllowed = (await serverFacts(connection)).snapshotIsolation;
      answers = await askTables(prompts, await readTables(connection));
    } finally {
      await connection.close();
    }
  }
  const reads = advanced ? await askReads(prompts, snapshotAllowed) : {};
  const target = await askTarget(prompts, environment, String(source.given.database));
  const targetSchema = await askTargetSchema(prompts, answers.schemas);
  const schemas = answers.schemas.map(literally);
  const [schema = 'dbo'] = schemas;

  const given = (migration: Given['migration']): Given => ({
    source: {
      ...source.given,
      schema: schemas.length > 1 ? schemas : schema,
      ...reads,
    },
    target: { ...target.given, ...(targetSchema !== null && { schema: targetSchema }) },
    migration: {
      ...migration,
      ...(answers.include.length > 0 && { include_tables: answers.include }),
      ...(answers.exclude.length > 0 && { exclude_tables: answers.exclude }),
    },
  });
  // Passwords of this conversation stand in for variables that are not set.
  const known = {
    ...environment,
    [variableOf(source.given.password)]: source.password,
    [variableOf(target.given.password)]: target.password,
  };
  const settings = (migration: Given['migration']): Config =>
    readConfig(configDocument(given(migration), { heading: [], allKeys: false }), {
      file: 'these answers',
      environment: known,
    });
  const mode = await settleMode(prompts, answers, target.config !== null, settings);

  let further: Record<string, GivenValue> = {};
  let sizes: HostSizes = {};
  if (advanced) {
    sizes = await hostSizes(settings({ target_mode: mode }));
    further = await askMigration(prompts, sizes);
  }
  const final = given({ target_mode: mode, ...further });
  const text = configDocument(final, { heading: HEADING, allKeys: advanced, chosen: sizes });
  // What is handed over is read the way a run reads it: nobody should be given a file that is refused.
  readConfig(text, { file: 'the new file', environment: known });
  return {
    text,
    mode,
    tables: answers.tables?.length ?? null,
    variables: [variableOf(final.source.password), variableOf(final.target.password)],
  };
}

/** @returns null where every schema keeps its name; of several, only `dbo` goes to `target.schema`. */
async function askTargetSchema(prompts: Prompts, schemas: readonly string[]): Promise<string | null> {
  const several = schemas.length > 1;
  if (several && !schemas.includes('dbo')) {
    prompts.info(
      'Each schema is written to one of its own name; migration.schema_mapping would say otherwise.',
    );
    return null;
  }
  const message = several
    ? 'PostgreSQL: schema for the tables of dbo (the others keep the name of theirs)'
    : 'PostgreSQL: schema to write to';
  const [only = 'dbo'] = schemas;
  return prompts.text({ message, initial: several || only === 'dbo' ? 'public' : only });
}

/** Asks for the mode until what it would do is wanted. */
async function settleMode(
  prompts: Prompts,
  { tables }: TableAnswers,
  reachable: boolean,
  settings: (migration: Given['migration']) => Config,
): Promise<ModeName> {
  if (!reachable || tables === null || tables.length === 0) return askMode(prompts, null);
  const target = await connectTarget(settings({}).target);
  try {
    const proposal = await propose(prompts, settings({ target_mode: 'drop_recreate' }), tables, target);
    for (;;) {
      const mode = await askMode(prompts, proposal);
      try {
        const actions = await consequences(settings({ target_mode: mode }), tables, target);
        if (actions.length === 0) return mode;
        const shown = actions.slice(0, 8).map((action) => `  ${action}`);
        const more = actions.length > 8 ? [`  and ${actions.length - 8} more`] : [];
        prompts.warn(['A run would do this to the target:', ...shown, ...more].join('\n'));
      } catch (error) {
        prompts.error(error);
        prompts.warn('A run with these answers would stop there, before anything is changed.');
      }
      if (await prompts.confirm(`Take ${mode}?`, true)) return mode;
    }
  } finally {
    await target.close();
  }
}

/** Null where there is nothing to go by, for a reason that is said. */
async function propose(
  prompts: Prompts,
  config: Config,
  tables: readonly SourceTable[],
  target: TargetConnection,
): Promise<Proposal | null> {
  try {
    return proposeMode(await surveyTarget(config, tables, target));
  } catch (error) {
    prompts.error(error);
    return null;
  }
}

function variableOf(reference: GivenValue | undefined): string {
  return /^\$\{(\w+)\}$/.exec(String(reference))?.[1] ?? '';
}
