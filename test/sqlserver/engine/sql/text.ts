/**
 * Helper functions in PostgreSQL for T-SQL strings: UTF-16 units, code pages, LIKE; created once in each database.
 *
 * Runs inside the embedded PostgreSQL, schema `tsql`. Strings are stored escaped (contract.ts): U+0000 as
 * U+10FFFF, a lone surrogate U+D800+n as U+10F000+n. Lengths and positions count UTF-16 code units, as
 * SQL Server does without an _SC or _UTF8 collation; what those collations count differently is not modelled.
 */
import iconv from 'iconv-lite';

const UNITS_SQL = String.raw`
CREATE COLLATION tsql.ci_as (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION tsql.ci_ai (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
CREATE COLLATION tsql.cs_ai (provider = icu, locale = 'und-u-ks-level1-kc-true', deterministic = false);
CREATE COLLATION tsql.cs_as (provider = icu, locale = 'und');

-- plpgsql, not sql: PostgreSQL inlines an sql function only where its arguments are cheap, and runs it slowly elsewhere.
-- A lead byte of F0 or more is what a character beyond the basic plane has in UTF-8.
CREATE FUNCTION tsql.astral(v text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE b bytea;
BEGIN
  IF octet_length(v) <= char_length(v) + 2 THEN RETURN false; END IF;
  b := convert_to(v, 'UTF8');
  RETURN b LIKE '%\360%'::bytea OR b LIKE '%\361%'::bytea OR b LIKE '%\362%'::bytea OR b LIKE '%\363%'::bytea OR b LIKE '%\364%'::bytea;
END $$;
CREATE FUNCTION tsql.ulen(v text) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF NOT tsql.astral(v) THEN RETURN char_length(v); END IF;
  RETURN char_length(v) + char_length(regexp_replace(v, '[^\U00010000-\U0010EFFF]', '', 'g'));
END $$;
CREATE FUNCTION tsql.len(v text) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN RETURN tsql.ulen(rtrim(v, ' ')); END $$;

-- Every astral character as its two surrogates (escaped), and back.
CREATE FUNCTION tsql.split_units(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF NOT tsql.astral(v) THEN RETURN v; END IF;
  RETURN (SELECT string_agg(CASE WHEN ascii(c) BETWEEN 65536 AND 1110015
    THEN chr(1110016 + ((ascii(c) - 65536) >> 10)) || chr(1110016 + 1024 + ((ascii(c) - 65536) & 1023)) ELSE c END, '' ORDER BY i)
    FROM regexp_split_to_table(v, '') WITH ORDINALITY AS s(c, i));
END $$;
CREATE FUNCTION tsql.join_units(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE m text[]; r text := v;
BEGIN
  IF octet_length(v) < char_length(v) + 6 OR NOT convert_to(v, 'UTF8') LIKE '%\364\217%'::bytea THEN RETURN v; END IF;
  FOR m IN SELECT DISTINCT regexp_matches(v, '[\U0010F000-\U0010F3FF][\U0010F400-\U0010F7FF]', 'g') LOOP
    r := replace(r, m[1], chr(65536 + ((ascii(m[1]) - 1110016) << 10) + ascii(substr(m[1], 2)) - 1110016 - 1024));
  END LOOP;
  RETURN r;
END $$;

CREATE FUNCTION tsql.substring(v text, start bigint, n bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE a bigint := greatest(start, 1); b bigint := least(start + n, 2147483647);
BEGIN
  IF n < 0 THEN PERFORM tsql.fail(537, 'Invalid length parameter passed to the LEFT or SUBSTRING function.'); END IF;
  IF b <= a THEN RETURN ''; END IF;
  IF NOT tsql.astral(v) THEN RETURN substr(v, a::int, (b - a)::int); END IF;
  RETURN tsql.join_units(substr(tsql.split_units(v), a::int, (b - a)::int));
END $$;
CREATE FUNCTION tsql.bytes_part(v bytea, start bigint, n bigint) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE a bigint := greatest(start, 1); b bigint := least(start + n, 2147483647);
BEGIN
  IF n < 0 THEN PERFORM tsql.fail(537, 'Invalid length parameter passed to the LEFT or SUBSTRING function.'); END IF;
  RETURN CASE WHEN b <= a THEN ''::bytea ELSE substring(v, a::int, (b - a)::int) END;
END $$;

-- CAST to (n)varchar(n) cuts; (n)char pads too.
CREATE FUNCTION tsql.cut(v text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF n < 0 OR char_length(v) * 2 <= n THEN RETURN v; END IF;
  RETURN tsql.substring(v, 1, n);
END $$;
CREATE FUNCTION tsql.pad(v text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN RETURN v || repeat(' ', greatest(n - tsql.ulen(v), 0)); END $$;
-- SUBSTRING of a text known to have no character beyond the basic plane.
CREATE FUNCTION tsql.substring_plain(v text, start bigint, n bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE a bigint := greatest(start, 1); b bigint := least(start + n, 2147483647);
BEGIN
  IF n < 0 THEN PERFORM tsql.fail(537, 'Invalid length parameter passed to the LEFT or SUBSTRING function.'); END IF;
  IF b <= a THEN RETURN ''; END IF;
  RETURN substr(v, a::int, (b - a)::int);
END $$;

-- Storing: too long is an error, unless only blanks are lost.
CREATE FUNCTION tsql.store_text(v text, n int, place text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF char_length(v) * 2 <= n OR tsql.ulen(v) <= n THEN RETURN v; END IF;
  IF tsql.len(v) <= n THEN RETURN tsql.cut(v, n); END IF;
  PERFORM tsql.fail(2628, format('String or binary data would be truncated in %s. Truncated value: ''%s''.', place, tsql.cut(v, least(n, 100))));
END $$;
CREATE FUNCTION tsql.store_bytes(v bytea, n int, place text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF length(v) <= n THEN RETURN v; END IF;
  PERFORM tsql.fail(2628, format('String or binary data would be truncated in %s. Truncated value: ''''.', place));
END $$;

CREATE FUNCTION tsql.u2(v int) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN substring(int4send(v) from 4 for 1) || substring(int4send(v) from 3 for 1);
CREATE FUNCTION tsql.utf16(v text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF octet_length(v) = char_length(v) THEN
    RETURN decode(regexp_replace(encode(convert_to(v, 'UTF8'), 'hex'), '(..)', '\100', 'g'), 'hex');
  END IF;
  RETURN (SELECT string_agg(CASE WHEN ascii(c) = 1114111 THEN '\x0000'::bytea WHEN ascii(c) >= 1110016 THEN tsql.u2(ascii(c) - 1110016 + 55296) ELSE tsql.u2(ascii(c)) END, ''::bytea ORDER BY i)
    FROM regexp_split_to_table(tsql.split_units(v), '') WITH ORDINALITY AS s(c, i));
END $$;
CREATE FUNCTION tsql.from_utf16(v bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF length(v) = 0 THEN RETURN ''; END IF;
  RETURN tsql.join_units((SELECT string_agg(CASE WHEN u = 0 THEN chr(1114111) WHEN u BETWEEN 55296 AND 57343 THEN chr(1110016 + u - 55296) ELSE chr(u) END, '' ORDER BY i)
    FROM (SELECT i, get_byte(v, i * 2) + CASE WHEN i * 2 + 1 < length(v) THEN get_byte(v, i * 2 + 1) * 256 ELSE 0 END AS u FROM generate_series(0, (length(v) - 1) / 2) AS i) AS units));
END $$;
CREATE FUNCTION tsql.utf8(v text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  -- A lone surrogate has no UTF-8; SQL Server's replacement for it is not documented and U+FFFD is assumed.
  IF position(chr(1114111) in v) = 0 AND v !~ '[\U0010F000-\U0010F7FF]' THEN RETURN convert_to(v, 'UTF8'); END IF;
  RETURN (SELECT string_agg(convert_to(regexp_replace(p, '[\U0010F000-\U0010F7FF]', U&'\FFFD', 'g'), 'UTF8'), '\x00'::bytea ORDER BY i) FROM regexp_split_to_table(v, chr(1114111)) WITH ORDINALITY AS s(p, i));
END $$;
CREATE FUNCTION tsql.from_bytes(v bytea, encoding text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE r text := ''; rest bytea := v; at int;
BEGIN
  LOOP
    at := position('\x00'::bytea in rest);
    IF at = 0 THEN RETURN r || convert_from(rest, encoding); END IF;
    r := r || convert_from(substring(rest for at - 1), encoding) || chr(1114111);
    rest := substring(rest from at + 1);
  END LOOP;
END $$;
CREATE FUNCTION tsql.to_bytes(v text, encoding text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF position(chr(1114111) in v) = 0 THEN RETURN convert_to(v, encoding); END IF;
  RETURN (SELECT string_agg(convert_to(p, encoding), '\x00'::bytea ORDER BY i) FROM regexp_split_to_table(v, chr(1114111)) WITH ORDINALITY AS s(p, i));
END $$;

CREATE FUNCTION tsql.replicate(v text, n bigint, lim int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN RETURN CASE WHEN n < 0 THEN NULL WHEN lim < 0 THEN repeat(v, n::int) ELSE tsql.cut(repeat(v, least(n, lim)::int), lim) END; END $$;
CREATE FUNCTION tsql.charindex(needle text, hay text, start bigint) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE s int := greatest(start, 1); n text := tsql.split_units(needle); h text := tsql.split_units(hay); p int;
BEGIN
  IF n = '' THEN RETURN 0; END IF;
  p := position(n in substr(h, s));
  RETURN CASE WHEN p = 0 THEN 0 ELSE p + s - 1 END;
END $$;

-- A LIKE pattern as a regular expression: % _ [set] [^set].
CREATE FUNCTION tsql.like_regex(v text, escape text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE r text := '^'; i int := 1; c text; e int; body text;
BEGIN
  IF v IS NULL THEN RETURN NULL; END IF;
  WHILE i <= char_length(v) LOOP
    c := substr(v, i, 1);
    IF c = escape AND i < char_length(v) THEN
      i := i + 1; r := r || regexp_replace(substr(v, i, 1), '([^[:alnum:]_])', '\\\1');
    ELSIF c = '%' THEN r := r || '.*';
    ELSIF c = '_' THEN r := r || '.';
    ELSIF c = '[' THEN
      e := position(']' in substr(v, i + 1));
      IF e <= 1 THEN RETURN '$.^'; END IF;
      body := substr(v, i + 1, e - 1);
      r := r || '[' || CASE WHEN left(body, 1) = '^' THEN '^' || regexp_replace(substr(body, 2), '([\[\\^])', '\\\1', 'g') ELSE regexp_replace(body, '([\[\\^])', '\\\1', 'g') END || ']';
      i := i + e;
    ELSE r := r || regexp_replace(c, '([^[:alnum:]_ ])', '\\\1'); END IF;
    i := i + 1;
  END LOOP;
  RETURN r || '$';
END $$;

CREATE FUNCTION tsql.variant(type text, v text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN v IS NULL THEN NULL ELSE '{"type":' || type || ',"value":' || to_json(v)::text || '}' END;
CREATE FUNCTION tsql.variant_text(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE j json := v::json; name text := j->'type'->>'name'; x text := j->>'value'; s int := coalesce((j->'type'->>'scale')::int, 7);
BEGIN
  CASE name
    WHEN 'bit' THEN RETURN CASE WHEN x::boolean THEN '1' ELSE '0' END;
    WHEN 'money', 'smallmoney' THEN RETURN tsql.money_text(x::numeric, 0);
    WHEN 'float', 'real' THEN RETURN tsql.float_text(x::float8, 0);
    WHEN 'uniqueidentifier' THEN RETURN upper(x);
    WHEN 'date' THEN RETURN tsql.moment_text(x::bigint * 864000000000, 0, 23, 'date', NULL);
    WHEN 'time' THEN RETURN tsql.time_text(x::bigint, s);
    WHEN 'datetime2' THEN RETURN tsql.moment_text(x::bigint, s, 121, 'datetime2', NULL);
    WHEN 'datetime' THEN RETURN tsql.moment_text(tsql.datetime_ticks(x::bigint), 3, 0, 'datetime', NULL);
    WHEN 'smalldatetime' THEN RETURN tsql.moment_text(tsql.minutes_ticks(x::int), 0, 0, 'smalldatetime', NULL);
    WHEN 'datetimeoffset' THEN RETURN tsql.moment_text(tsql.offset_local(x::bytea), s, 121, 'datetimeoffset', tsql.offset_zone(x::bytea));
    WHEN 'binary', 'varbinary' THEN RETURN tsql.cp1252_decode(x::bytea);
    ELSE RETURN x;
  END CASE;
END $$;
`;

const SINGLE_BYTE = [437, 850, 874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258];
/** PostgreSQL's encodings for SQL Server's double-byte code pages and UTF-8. */
const MULTI_BYTE: Record<number, string> = {
  932: 'SJIS',
  936: 'GBK',
  949: 'UHC',
  950: 'BIG5',
  65001: 'UTF8',
};

/**
 * `cp<n>_filter` replaces what the code page lacks with '?', `cp<n>_encode` and `cp<n>_decode` go to bytes and back.
 * Windows' best-fit replacements (a letter for its accented form) are not modelled: '?' stands for all.
 * Bytes a code page leaves undefined are the C1 control of the same number, as in Windows.
 */
function singleByte(page: number): string {
  const upper = Array.from({ length: 128 }, (_, i) => {
    const char = iconv.decode(Buffer.from([128 + i]), `cp${page}`);
    return char === '\uFFFD' || char === '' ? String.fromCharCode(128 + i) : char;
  });
  const hex = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const escapes = upper.map(hex).join('');
  const chars = upper.map((char) => `\\${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
  const latin = upper.map((_, i) => `\\${(128 + i).toString(16).padStart(4, '0')}`).join('');
  return `
CREATE FUNCTION tsql.cp${page}_filter(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF octet_length(v) = char_length(v) THEN RETURN v; END IF;
  RETURN regexp_replace(tsql.split_units(v), '[^\\u0001-\\u007f${escapes}\\U0010FFFF]', '?', 'g');
END $$;
CREATE FUNCTION tsql.cp${page}_encode(v text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF octet_length(v) = char_length(v) THEN RETURN convert_to(v, 'UTF8'); END IF;
  RETURN tsql.to_bytes(translate(tsql.cp${page}_filter(v), U&'${chars}', U&'${latin}'), 'LATIN1');
END $$;
CREATE FUNCTION tsql.cp${page}_decode(v bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN translate(tsql.from_bytes(v, 'LATIN1'), U&'${latin}', U&'${chars}');`;
}

function multiByte(page: number, encoding: string): string {
  const encode = page === 65001 ? 'tsql.utf8(v)' : `tsql.to_bytes(v, '${encoding}')`;
  return `
CREATE FUNCTION tsql.cp${page}_filter(v text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN v;
CREATE FUNCTION tsql.cp${page}_encode(v text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN ${encode};
CREATE FUNCTION tsql.cp${page}_decode(v bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN tsql.from_bytes(v, '${encoding}');`;
}

export const TEXT_SQL = [
  UNITS_SQL,
  ...SINGLE_BYTE.map(singleByte),
  ...Object.entries(MULTI_BYTE).map(([page, encoding]) => multiByte(Number(page), encoding)),
].join('\n');
