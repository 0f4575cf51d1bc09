/**
 * What columns' types need of the target server: extensions, libxml, ICU. Asked before anything is touched.
 *
 * Runs on the main thread.
 */
import { AppError, toErrorData } from '../errors.js';
import type { TargetConnection } from '../target/connection.js';
import type { TablePlan } from './model.js';

type Target = Pick<TargetConnection, 'query'>;

/**
 * @throws AppError UNSUPPORTED where the target can't have a column of a planned type
 */
export async function requireTypes(target: Target, plans: readonly TablePlan[]): Promise<void> {
  const columns = plans.flatMap((plan) => plan.columns);
  const types = new Set(columns.map(({ pgType }) => pgType));
  if (types.has('citext')) await requireCitext(target);
  if (types.has('geometry') || types.has('geography')) await requirePostgis(target);
  if (types.has('xml')) await requireXml(target);
  if (columns.some(({ collation }) => collation !== undefined)) await requireIcu(target);
}

interface Extension {
  available: boolean;
  schema: string | null;
  visible: boolean;
}

async function extension(target: Target, name: string, type: string): Promise<Extension> {
  const [row] = await target.query<Extension>(
    `SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = $1) AS available,
      (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = $1) AS schema,
      to_regtype($2) IS NOT NULL AS visible`,
    [name, type],
  );
  return row as Extension;
}

function offSearchPath(name: string, schema: string): AppError {
  return new AppError(
    'UNSUPPORTED',
    `Extension ${name} is in schema ${schema} of the target, which is not on the role's search_path`,
    { remedy: `ALTER ROLE ... SET search_path to one that has ${schema}.` },
  );
}

async function requireCitext(target: Target): Promise<void> {
  const { available, schema, visible } = await extension(target, 'citext', 'citext');
  if (schema !== null && !visible) throw offSearchPath('citext', schema);
  if (schema !== null || available) return;
  throw new AppError('UNSUPPORTED', 'The target server has no extension citext', {
    remedy: "Install PostgreSQL's contrib package on the server, or use migration.collation: icu or none.",
  });
}

async function requirePostgis(target: Target): Promise<void> {
  const { available, schema, visible } = await extension(target, 'postgis', 'geometry');
  if (schema !== null && !visible) throw offSearchPath('postgis', schema);
  if (schema !== null) return;
  throw new AppError('UNSUPPORTED', 'The target database has no PostGIS, which geometry and geography need', {
    remedy: available
      ? 'CREATE EXTENSION postgis in the target database, or use migration.spatial: text.'
      : 'Install PostGIS on the target server, or use migration.spatial: text.',
  });
}

async function requireXml(target: Target): Promise<void> {
  try {
    await target.query(`SELECT '<a/>'::xml`);
  } catch (error) {
    const { code, message } = toErrorData(error);
    if (code.endsWith('_CONNECTION_LOST')) throw error;
    throw new AppError('UNSUPPORTED', `The target server does not take xml: ${message}`, {
      remedy: 'Use migration.xml: text.',
      cause: error,
    });
  }
}

async function requireIcu(target: Target): Promise<void> {
  const [row] = await target.query<{ icu: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i') AS icu`,
  );
  if (row?.icu === true) return;
  throw new AppError('UNSUPPORTED', 'The target server was built without ICU', {
    remedy: 'Use migration.collation: citext or none.',
  });
}
