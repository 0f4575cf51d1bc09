/**
 * Helper functions in PostgreSQL for T-SQL numbers, binary values and GUIDs; created once in each database.
 *
 * Runs inside the embedded PostgreSQL, schema `tsql`. SQLSTATE TSQLE carries SQL Server's number in DETAIL.
 */
export const NUMBERS_SQL = String.raw`
-- Not immutable: PostgreSQL would run it while planning, in branches of a CASE that are never taken.
CREATE FUNCTION tsql.fail(number int, message text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = 'TSQLE', MESSAGE = message, DETAIL = number::text; END $$;

CREATE FUNCTION tsql.fdiv(a bigint, b bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN a / b - CASE WHEN a % b < 0 THEN 1 ELSE 0 END;

-- Range check of an integer type; numeric in, because every integer and decimal fits it.
CREATE FUNCTION tsql.narrow(v numeric, type text, attempt boolean) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE t numeric := trunc(v);
BEGIN
  IF (type = 'int' AND t BETWEEN -2147483648 AND 2147483647) OR (type = 'bigint' AND t BETWEEN -9223372036854775808 AND 9223372036854775807)
    OR (type = 'smallint' AND t BETWEEN -32768 AND 32767) OR (type = 'tinyint' AND t BETWEEN 0 AND 255) THEN RETURN t; END IF;
  IF attempt THEN RETURN NULL; END IF;
  IF type IN ('smallint', 'tinyint') AND t = v AND abs(t) < 2147483648 THEN
    PERFORM tsql.fail(220, format('Arithmetic overflow error for data type %s, value = %s.', type, t));
  END IF;
  PERFORM tsql.fail(8115, format('Arithmetic overflow error converting expression to data type %s.', type));
END $$;

CREATE FUNCTION tsql.tiny(v int) RETURNS int2 LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF v BETWEEN 0 AND 255 THEN RETURN v; END IF;
  PERFORM tsql.fail(8115, 'Arithmetic overflow error converting expression to data type tinyint.');
END $$;

CREATE FUNCTION tsql.fit_decimal(v numeric, p int, s int, source text, attempt boolean) RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE r numeric := round(v, s);
BEGIN
  IF abs(r) < power(10::numeric, p - s) THEN RETURN r; END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM tsql.fail(8115, format('Arithmetic overflow error converting %s to data type numeric.', source));
END $$;

CREATE FUNCTION tsql.fit_money(v numeric, small boolean, attempt boolean) RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE r numeric := round(v, 4);
BEGIN
  IF small AND r BETWEEN -214748.3648 AND 214748.3647 THEN RETURN r; END IF;
  IF NOT small AND r BETWEEN -922337203685477.5808 AND 922337203685477.5807 THEN RETURN r; END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM tsql.fail(CASE WHEN small THEN 8115 ELSE 8115 END, format('Arithmetic overflow error converting expression to data type %s.', CASE WHEN small THEN 'smallmoney' ELSE 'money' END));
END $$;

-- Division of decimals keeps the result type's digits and drops the rest.
CREATE FUNCTION tsql.div(a numeric, b numeric, s int) RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF b = 0 THEN PERFORM tsql.fail(8134, 'Divide by zero error encountered.'); END IF;
  RETURN round(div(a * power(10::numeric, s), b) / power(10::numeric, s), s);
END $$;

CREATE FUNCTION tsql.text_number(v text, type text, source text, attempt boolean) RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE t text := btrim(v, E' \t\r\n');
BEGIN
  IF type IN ('bigint', 'int', 'smallint', 'tinyint') THEN
    IF t = '' THEN RETURN 0; END IF;
    IF t ~ '^[+-]?\d+$' THEN
      IF (type = 'int' AND abs(t::numeric) > 2147483648) OR (type <> 'int' AND abs(t::numeric) > 9223372036854775808) THEN
        IF attempt THEN RETURN NULL; END IF;
        PERFORM tsql.fail(CASE type WHEN 'int' THEN 248 WHEN 'bigint' THEN 8115 ELSE 244 END, CASE type WHEN 'bigint'
          THEN 'Arithmetic overflow error converting expression to data type bigint.'
          ELSE format('The conversion of the %s value ''%s'' overflowed an %s column.', source, v, CASE type WHEN 'int' THEN 'int' WHEN 'smallint' THEN 'INT2' ELSE 'INT1' END) END);
      END IF;
      RETURN t::numeric;
    END IF;
    IF attempt THEN RETURN NULL; END IF;
    IF type = 'bigint' THEN PERFORM tsql.fail(8114, format('Error converting data type %s to bigint.', source)); END IF;
    PERFORM tsql.fail(245, format('Conversion failed when converting the %s value ''%s'' to data type %s.', source, v, type));
  ELSIF type IN ('money', 'smallmoney') THEN
    t := regexp_replace(t, '^([+-]?)[$£€¥]', '\1');
    IF t = '' THEN RETURN 0; END IF;
    IF t ~ '^[+-]?(\d[\d,]*\.?\d*|\.\d+)$' THEN RETURN replace(t, ',', '')::numeric; END IF;
    IF attempt THEN RETURN NULL; END IF;
    PERFORM tsql.fail(235, 'Cannot convert a char value to money. The char value has incorrect syntax.');
  ELSE
    IF t ~ '^[+-]?(\d+\.?\d*|\.\d+)$' OR (type IN ('float', 'real') AND t ~* '^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$') THEN RETURN t::numeric; END IF;
    IF type IN ('float', 'real') AND t = '' THEN RETURN 0; END IF;
    IF attempt THEN RETURN NULL; END IF;
    PERFORM tsql.fail(8114, format('Error converting data type %s to %s.', source, type));
  END IF;
END $$;

CREATE FUNCTION tsql.text_bit(v text, source text, attempt boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF lower(btrim(v)) = 'true' THEN RETURN true; END IF;
  IF lower(btrim(v)) IN ('false', '') THEN RETURN false; END IF;
  IF btrim(v) ~ '^[+-]?\d+$' THEN RETURN btrim(v)::numeric <> 0; END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM tsql.fail(245, format('Conversion failed when converting the %s value ''%s'' to data type bit.', source, v));
END $$;

-- Microsoft's runtime writes exponents with three digits.
CREATE FUNCTION tsql.exponent(v text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN regexp_replace(v, 'e([+-])(\d\d)$', 'e\10\2');

CREATE FUNCTION tsql.float_text(v float8, style int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE t text; e int;
BEGIN
  IF style IN (1, 2, 3) THEN
    t := btrim(to_char(v, CASE style WHEN 1 THEN '9.9999999EEEE' WHEN 2 THEN '9.999999999999999EEEE' ELSE '9.9999999999999999EEEE' END));
    RETURN tsql.exponent(t);
  END IF;
  IF v = 0 THEN RETURN '0'; END IF;
  t := btrim(to_char(v, '9.99999EEEE'));
  e := substring(t from 'e([+-]\d+)$')::int;
  IF e < -5 OR e >= 6 THEN
    RETURN tsql.exponent(regexp_replace(regexp_replace(t, '0+e', 'e'), '\.e', 'e'));
  END IF;
  t := round(v::numeric, greatest(5 - e, 0))::text;
  IF position('.' in t) > 0 THEN t := rtrim(rtrim(t, '0'), '.'); END IF;
  RETURN t;
END $$;

CREATE FUNCTION tsql.money_text(v numeric, style int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN RETURN CASE WHEN style IN (2, 126) THEN round(v, 4)::text
  WHEN style = 1 THEN btrim(to_char(round(v, 2), 'FM999,999,999,999,999,990.00')) ELSE round(v, 2)::text END; END $$;

-- Numbers into binary(n): right-aligned; anything else: left-aligned. Zero bytes fill.
CREATE FUNCTION tsql.fit_right(v bytea, n int, fixed boolean) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN RETURN CASE WHEN n < 0 OR (NOT fixed AND length(v) <= n) OR length(v) = n THEN v WHEN length(v) > n THEN substring(v from length(v) - n + 1)
  ELSE decode(repeat('00', n - length(v)), 'hex') || v END; END $$;
CREATE FUNCTION tsql.fit_left(v bytea, n int, fixed boolean) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN RETURN CASE WHEN n < 0 OR (NOT fixed AND length(v) <= n) OR length(v) = n THEN v WHEN length(v) > n THEN substring(v for n)
  ELSE v || decode(repeat('00', n - length(v)), 'hex') END; END $$;

CREATE FUNCTION tsql.bytes_int(v bytea, n int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE r bigint := 0; b bytea := tsql.fit_right(v, n, true);
BEGIN
  FOR i IN 0..n - 1 LOOP r := (r << 8) | get_byte(b, i); END LOOP;
  IF n = 4 AND r > 2147483647 THEN r := r - 4294967296; END IF;
  IF n = 2 AND r > 32767 THEN r := r - 65536; END IF;
  RETURN r;
END $$;

-- SQL Server stores the first three groups of a GUID little-endian.
CREATE FUNCTION tsql.guid_bytes(v uuid) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE b bytea := uuid_send(v);
BEGIN
  RETURN substring(b,4,1)||substring(b,3,1)||substring(b,2,1)||substring(b,1,1)||substring(b,6,1)||substring(b,5,1)||substring(b,8,1)||substring(b,7,1)||substring(b,9,8);
END $$;
CREATE FUNCTION tsql.bytes_guid(v bytea) RETURNS uuid LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF length(v) < 16 THEN PERFORM tsql.fail(8169, 'Conversion failed when converting from a character string to uniqueidentifier.'); END IF;
  RETURN encode(tsql.guid_bytes(encode(substring(v,1,16),'hex')::uuid), 'hex')::uuid;
END $$;
-- The order of uniqueidentifier: last six bytes first, then backwards by groups.
CREATE FUNCTION tsql.guid_key(v uuid) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN substring(uuid_send(v),11,6)||substring(uuid_send(v),9,2)||substring(uuid_send(v),8,1)||substring(uuid_send(v),7,1)||substring(uuid_send(v),6,1)
  ||substring(uuid_send(v),5,1)||substring(uuid_send(v),4,1)||substring(uuid_send(v),3,1)||substring(uuid_send(v),2,1)||substring(uuid_send(v),1,1);
CREATE FUNCTION tsql.guid_min(v uuid[]) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN (SELECT u FROM unnest(v) u WHERE u IS NOT NULL ORDER BY tsql.guid_key(u) LIMIT 1);
CREATE FUNCTION tsql.guid_max(v uuid[]) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN (SELECT u FROM unnest(v) u WHERE u IS NOT NULL ORDER BY tsql.guid_key(u) DESC LIMIT 1);

CREATE FUNCTION tsql.text_guid(v text, attempt boolean) RETURNS uuid LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE t text := substring(v from '^\{?([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})');
BEGIN
  IF t IS NOT NULL THEN RETURN t::uuid; END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM tsql.fail(8169, 'Conversion failed when converting from a character string to uniqueidentifier.');
END $$;

CREATE FUNCTION tsql.text_bytes_hex(v text, style int, source text, attempt boolean) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE t text := v;
BEGIN
  IF style = 1 AND t ~* '^0x' THEN t := substr(t, 3); ELSIF style = 1 THEN t := '?'; END IF;
  IF t ~* '^([0-9a-f]{2})*$' THEN RETURN decode(t, 'hex'); END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM tsql.fail(8114, format('Error converting data type %s to varbinary.', source));
END $$;

CREATE FUNCTION tsql.str(v float8, n int, d int) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN length(round(v::numeric, 0)::text) > n THEN repeat('*', n) ELSE lpad(left(round(v::numeric, least(d, greatest(n - 1 - length(trunc(v::numeric)::text), 0)))::text, n), n) END;
`;
