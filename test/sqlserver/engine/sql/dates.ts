/**
 * Helper functions in PostgreSQL for T-SQL dates and times; created once in each database.
 *
 * Runs inside the embedded PostgreSQL, schema `tsql`. A moment is (days since 0001-01-01, 100 ns of the day).
 */
export const DATES_SQL = String.raw`
CREATE FUNCTION tsql.days(y int, m int, d int) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF y < 1 OR y > 9999 OR m < 1 OR m > 12 OR d < 1 OR d > 31 THEN RETURN NULL; END IF;
  IF d > 28 AND d > extract(day from (make_date(y, m, 1) + interval '1 month - 1 day')) THEN RETURN NULL; END IF;
  RETURN make_date(y, m, d) - date '0001-01-01';
END $$;

CREATE FUNCTION tsql.bad_date(number int, source text, type text) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF number = 242 THEN
    PERFORM tsql.fail(242, format('The conversion of a %s data type to a %s data type resulted in an out-of-range value.', source, type));
  END IF;
  PERFORM tsql.fail(241, 'Conversion failed when converting date and/or time from character string.');
END $$;

-- {days, 100 ns, offset minutes or NULL}. Formats: ISO 8601, unseparated, US and styled numeric dates, month names.
CREATE FUNCTION tsql.parse_moment(v text, style int, source text, type text, attempt boolean) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE t text := btrim(v); m text[]; days int; ticks bigint := 0; zone int; rest text; hour int; frac text;
BEGIN
  IF v IS NULL THEN RETURN NULL; END IF;
  m := regexp_match(t, '^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]\s*(.*))?$');
  IF m IS NOT NULL THEN days := tsql.days(m[1]::int, m[2]::int, m[3]::int); rest := m[4];
  ELSE
    m := regexp_match(t, '^(\d{4})(\d\d)(\d\d)(?:[T ]\s*(.*))?$');
    IF m IS NOT NULL THEN days := tsql.days(m[1]::int, m[2]::int, m[3]::int); rest := m[4];
    ELSE
      m := regexp_match(t, '^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:\s+(.*))?$');
      IF m IS NOT NULL THEN
        IF style IN (103, 104, 105, 131) THEN days := tsql.days(m[3]::int, m[2]::int, m[1]::int);
        ELSE days := tsql.days(m[3]::int, m[1]::int, m[2]::int); END IF;
        rest := m[4];
      ELSE
        m := regexp_match(t, '^([A-Za-z]{3})[A-Za-z]*\s+(\d{1,2}),?\s+(\d{4})(?:\s+(.*))?$');
        IF m IS NULL THEN
          m := regexp_match(t, '^(\d{1,2})\s+([A-Za-z]{3})[A-Za-z]*,?\s+(\d{4})(?:\s+(.*))?$');
          IF m IS NOT NULL THEN m := ARRAY[m[2], m[1], m[3], m[4]]; END IF;
        END IF;
        IF m IS NOT NULL THEN
          days := tsql.days(m[3]::int, (position(lower(m[1]) in 'janfebmaraprmayjunjulaugsepoctnovdec') + 2) / 3, m[2]::int); rest := m[4];
        ELSIF t = '' OR t ~ '^\d{1,2}:' OR t ~* '^\d{1,2}\s*[ap]m$' THEN days := 693595; rest := t;
        ELSE
          IF attempt THEN RETURN NULL; END IF;
          RETURN tsql.bad_date(241, source, type);
        END IF;
      END IF;
    END IF;
  END IF;
  IF days IS NULL THEN
    IF attempt THEN RETURN NULL; END IF;
    RETURN tsql.bad_date(CASE WHEN type IN ('datetime', 'smalldatetime') THEN 242 ELSE 241 END, source, type);
  END IF;
  IF rest IS NOT NULL AND rest <> '' THEN
    m := regexp_match(rest, '^(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:[.:](\d{1,9}))?)?)?\s*([AaPp][Mm])?\s*(?:(Z)|([+-])(\d{1,2}):(\d\d))?$');
    IF m IS NULL OR (m[2] IS NULL AND m[5] IS NULL) THEN
      IF attempt THEN RETURN NULL; END IF;
      RETURN tsql.bad_date(241, source, type);
    END IF;
    hour := m[1]::int;
    IF m[5] IS NOT NULL THEN hour := hour % 12 + CASE WHEN lower(m[5]) = 'pm' THEN 12 ELSE 0 END; END IF;
    IF hour > 23 OR coalesce(m[2]::int, 0) > 59 OR coalesce(m[3]::int, 0) > 59 OR coalesce(m[8]::int, 0) > 14 OR (type IN ('datetime', 'smalldatetime') AND length(m[4]) > 3) THEN
      IF attempt THEN RETURN NULL; END IF;
      RETURN tsql.bad_date(CASE WHEN type IN ('datetime', 'smalldatetime') AND coalesce(length(m[4]), 0) <= 3 THEN 242 ELSE 241 END, source, type);
    END IF;
    frac := coalesce(m[4], '0');
    ticks := (hour * 3600 + coalesce(m[2]::int, 0) * 60 + coalesce(m[3]::int, 0)) * 10000000::bigint + round(frac::numeric * 10000000 / power(10::numeric, length(frac)))::bigint;
    IF m[6] IS NOT NULL THEN zone := 0; ELSIF m[7] IS NOT NULL THEN zone := (m[8]::int * 60 + m[9]::int) * CASE m[7] WHEN '-' THEN -1 ELSE 1 END; END IF;
  END IF;
  RETURN ARRAY[days, ticks, zone];
END $$;

CREATE FUNCTION tsql.round_ticks(v bigint, scale int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN scale >= 7 THEN v ELSE tsql.fdiv(v + (5 * 10 ^ (6 - scale))::bigint, (10 ^ (7 - scale))::bigint) * (10 ^ (7 - scale))::bigint END;

-- Any moment as datetime2(7) ticks.
CREATE FUNCTION tsql.datetime_ticks(v bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (v + 30000000000000) / 3 * 100000 + ((v + 30000000000000) % 3 * 100000 + 1) / 3 - 400733920000000000;
CREATE FUNCTION tsql.minutes_ticks(v int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 599266080000000000 + v::bigint * 600000000;
CREATE FUNCTION tsql.offset_utc(v bytea) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ('x' || encode(substring(v for 8), 'hex'))::bit(64)::bigint;
CREATE FUNCTION tsql.offset_zone(v bytea) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN get_byte(v, 8) * 256 + get_byte(v, 9) - 840;
CREATE FUNCTION tsql.offset_local(v bytea) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN tsql.offset_utc(v) + tsql.offset_zone(v) * 600000000::bigint;
CREATE FUNCTION tsql.make_offset(utc bigint, zone int) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN int8send(utc) || substring(int4send(zone + 840) from 3);

-- datetime2(7) ticks as the other types' storage, rounded and range-checked.
CREATE FUNCTION tsql.ticks_datetime(v bigint, source text, attempt boolean) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
-- Shifted by 2,000,000,000,000 so that division floors.
DECLARE r bigint := ((v - 599266080000000000) * 3 + 200000000000050000) / 100000 - 2000000000000;
BEGIN
  IF r BETWEEN -1391644800000 AND 76683386879999 AND v >= 552877920000000000 THEN RETURN r; END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM tsql.bad_date(242, source, 'datetime');
END $$;
CREATE FUNCTION tsql.ticks_minutes(v bigint, source text, attempt boolean) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE r bigint := tsql.fdiv(v - 599266080000000000 + 300000000, 600000000);
BEGIN
  IF r BETWEEN 0 AND 94371839 THEN RETURN r; END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM tsql.bad_date(242, source, 'smalldatetime');
END $$;
-- DATEADD in the type's own units: n times unit, result within low and high.
CREATE FUNCTION tsql.add_units(n bigint, unit bigint, v bigint, low bigint, high bigint, type text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE span bigint := (high - low) / unit + 1; r bigint;
BEGIN
  IF n <= span AND n >= -span THEN
    r := v + n * unit;
    IF r BETWEEN low AND high THEN RETURN r; END IF;
  END IF;
  PERFORM tsql.fail(517, format('Adding a value to a ''%s'' column caused an overflow.', type));
END $$;

-- {days, ticks, zone} as one storage value; kind is the T-SQL type.
CREATE FUNCTION tsql.moment_ticks(m bigint[]) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN m[1] * 864000000000 + m[2];
CREATE FUNCTION tsql.moment_offset(m bigint[], scale int) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN tsql.make_offset(tsql.round_ticks(m[1] * 864000000000 + m[2], scale) - coalesce(m[3], 0) * 600000000, coalesce(m[3], 0)::int);

CREATE FUNCTION tsql.date_of(ticks bigint) RETURNS date LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN date '0001-01-01' + tsql.fdiv(ticks, 864000000000)::int;

CREATE FUNCTION tsql.time_text(t bigint, digits int) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lpad((t / 36000000000)::text, 2, '0') || ':' || lpad((t / 600000000 % 60)::text, 2, '0') || ':' || lpad((t / 10000000 % 60)::text, 2, '0')
  || CASE WHEN digits > 0 THEN '.' || left(lpad((t % 10000000)::text, 7, '0'), digits) ELSE '' END;

-- CONVERT(varchar, moment, style): ticks are datetime2(7) local ticks; digits of the type's fraction; zone minutes or NULL.
CREATE FUNCTION tsql.moment_text(ticks bigint, digits int, style int, kind text, zone int) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE d date; t bigint; r text; z text := '';
BEGIN
  IF ticks IS NULL THEN RETURN NULL; END IF;
  -- A datetime's 1/300 s show as the nearest millisecond.
  IF kind = 'datetime' THEN ticks := (ticks + 5000) / 10000 * 10000; END IF;
  IF kind = 'datetimeoffset' AND style = 127 THEN ticks := ticks - zone * 600000000::bigint; END IF;
  d := tsql.date_of(ticks);
  t := ticks - tsql.fdiv(ticks, 864000000000) * 864000000000;
  IF kind = 'datetimeoffset' THEN z := ' ' || CASE WHEN zone < 0 THEN '-' ELSE '+' END || lpad((abs(zone) / 60)::text, 2, '0') || ':' || lpad((abs(zone) % 60)::text, 2, '0'); END IF;
  IF style IN (0, 100) AND kind IN ('date', 'time', 'datetime2', 'datetimeoffset') AND style = 0 THEN style := 121; END IF;
  IF kind = 'time' THEN
    CASE style
      WHEN 0, 100 THEN RETURN lpad(CASE WHEN t / 36000000000 % 12 = 0 THEN '12' ELSE (t / 36000000000 % 12)::text END, 2, ' ') || ':' || lpad((t / 600000000 % 60)::text, 2, '0') || CASE WHEN t >= 432000000000 THEN 'PM' ELSE 'AM' END;
      WHEN 8, 24, 108, 20, 120 THEN RETURN tsql.time_text(t, 0);
      WHEN 14, 114, 21, 25, 121, 126, 127 THEN RETURN tsql.time_text(t, digits);
      ELSE PERFORM tsql.fail(281, format('%s is not a valid style number when converting from time to a character string.', style));
    END CASE;
  END IF;
  r := to_char(d, 'YYYY-MM-DD');
  IF kind = 'date' AND style IN (20, 21, 25, 120, 121, 126, 127) THEN RETURN r; END IF;
  CASE style
    WHEN 0, 100 THEN RETURN to_char(d, 'Mon ') || lpad(extract(day from d)::text, 2, ' ') || to_char(d, ' YYYY') || CASE WHEN kind = 'date' THEN '' ELSE ' ' || lpad(CASE WHEN t / 36000000000 % 12 = 0 THEN '12' ELSE (t / 36000000000 % 12)::text END, 2, ' ') || ':' || lpad((t / 600000000 % 60)::text, 2, '0') || CASE WHEN t >= 432000000000 THEN 'PM' ELSE 'AM' END END || z;
    WHEN 1 THEN RETURN to_char(d, 'MM/DD/YY');
    WHEN 101 THEN RETURN to_char(d, 'MM/DD/YYYY');
    WHEN 102 THEN RETURN to_char(d, 'YYYY.MM.DD');
    WHEN 103 THEN RETURN to_char(d, 'DD/MM/YYYY');
    WHEN 104 THEN RETURN to_char(d, 'DD.MM.YYYY');
    WHEN 105 THEN RETURN to_char(d, 'DD-MM-YYYY');
    WHEN 110 THEN RETURN to_char(d, 'MM-DD-YYYY');
    WHEN 111 THEN RETURN to_char(d, 'YYYY/MM/DD');
    WHEN 112 THEN RETURN to_char(d, 'YYYYMMDD');
    WHEN 23 THEN RETURN r;
    WHEN 8, 24, 108 THEN RETURN tsql.time_text(t, 0);
    WHEN 14, 114 THEN RETURN tsql.time_text(t, digits);
    WHEN 20, 120 THEN RETURN r || ' ' || tsql.time_text(t, 0) || z;
    WHEN 21, 25, 121 THEN RETURN r || ' ' || tsql.time_text(t, CASE WHEN kind = 'smalldatetime' THEN 3 ELSE digits END) || z;
    WHEN 126 THEN RETURN r || 'T' || tsql.time_text(t, CASE WHEN t % 10000000 = 0 THEN 0 ELSE digits END) || ltrim(z);
    WHEN 127 THEN RETURN r || 'T' || tsql.time_text(t, CASE WHEN t % 10000000 = 0 THEN 0 ELSE digits END) || CASE WHEN kind = 'datetimeoffset' THEN 'Z' ELSE '' END;
    ELSE PERFORM tsql.fail(281, format('%s is not a valid style number when converting from %s to a character string.', style, kind));
  END CASE;
END $$;

CREATE FUNCTION tsql.now_ticks(utc boolean) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
RETURN (extract(epoch from statement_timestamp()) * 10000000)::bigint + 621355968000000000;

-- Boundaries crossed, by DATEDIFF's rule.
CREATE FUNCTION tsql.datediff(part text, a bigint, b bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE x date; y date; unit bigint;
BEGIN
  unit := CASE part WHEN 'microsecond' THEN 10 WHEN 'millisecond' THEN 10000 WHEN 'second' THEN 10000000 WHEN 'minute' THEN 600000000 WHEN 'hour' THEN 36000000000 WHEN 'day' THEN 864000000000 END;
  IF unit IS NOT NULL THEN RETURN tsql.fdiv(b, unit) - tsql.fdiv(a, unit); END IF;
  IF part = 'nanosecond' THEN RETURN (b - a) * 100; END IF;
  x := tsql.date_of(a); y := tsql.date_of(b);
  CASE part
    WHEN 'year' THEN RETURN extract(year from y) - extract(year from x);
    WHEN 'quarter' THEN RETURN (extract(year from y) - extract(year from x)) * 4 + extract(quarter from y) - extract(quarter from x);
    WHEN 'month' THEN RETURN (extract(year from y) - extract(year from x)) * 12 + extract(month from y) - extract(month from x);
    -- Weeks begin on Sunday whatever DATEFIRST says; 0001-01-01 was a Monday.
    WHEN 'week' THEN RETURN (tsql.fdiv(b, 864000000000) + 1) / 7 - (tsql.fdiv(a, 864000000000) + 1) / 7;
  END CASE;
END $$;

CREATE FUNCTION tsql.datediff_int(part text, a bigint, b bigint) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE r bigint := tsql.datediff(part, a, b);
BEGIN
  IF r BETWEEN -2147483648 AND 2147483647 THEN RETURN r; END IF;
  PERFORM tsql.fail(535, 'The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is too large. Try to use datediff with a less precise datepart.');
END $$;

CREATE FUNCTION tsql.dateadd(part text, n bigint, ticks bigint, type text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE unit bigint; d date; months numeric; r numeric;
BEGIN
  unit := CASE part WHEN 'microsecond' THEN 10 WHEN 'millisecond' THEN 10000 WHEN 'second' THEN 10000000 WHEN 'minute' THEN 600000000
    WHEN 'hour' THEN 36000000000 WHEN 'day' THEN 864000000000 WHEN 'dayofyear' THEN 864000000000 WHEN 'weekday' THEN 864000000000 WHEN 'week' THEN 6048000000000 END;
  IF unit IS NOT NULL THEN r := n::numeric * unit + ticks;
  ELSIF part = 'nanosecond' THEN r := round(n::numeric / 100) + ticks;
  ELSE
    d := tsql.date_of(ticks);
    months := n::numeric * CASE part WHEN 'year' THEN 12 WHEN 'quarter' THEN 3 ELSE 1 END + extract(year from d) * 12 + extract(month from d) - 13;
    IF months < 0 OR months >= 119988 THEN PERFORM tsql.fail(517, format('Adding a value to a ''%s'' column caused an overflow.', type)); END IF;
    r := ((d + make_interval(months => (months - (extract(year from d) * 12 + extract(month from d) - 13))::int))::date - date '0001-01-01') * 864000000000 + ticks - tsql.fdiv(ticks, 864000000000) * 864000000000;
  END IF;
  IF r < 0 OR r > 3155378975999999999 THEN PERFORM tsql.fail(517, format('Adding a value to a ''%s'' column caused an overflow.', type)); END IF;
  RETURN r;
END $$;

CREATE FUNCTION tsql.datepart(part text, ticks bigint, zone int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE d date; t bigint;
BEGIN
  IF ticks IS NULL THEN RETURN NULL; END IF;
  d := tsql.date_of(ticks);
  t := ticks - tsql.fdiv(ticks, 864000000000) * 864000000000;
  RETURN CASE part WHEN 'year' THEN extract(year from d) WHEN 'quarter' THEN extract(quarter from d) WHEN 'month' THEN extract(month from d)
    WHEN 'day' THEN extract(day from d) WHEN 'dayofyear' THEN extract(doy from d) WHEN 'weekday' THEN extract(dow from d) + 1
    WHEN 'week' THEN (extract(doy from d)::int + extract(dow from date_trunc('year', d))::int - 1) / 7 + 1
    WHEN 'iso_week' THEN extract(week from d) WHEN 'hour' THEN t / 36000000000 WHEN 'minute' THEN t / 600000000 % 60 WHEN 'second' THEN t / 10000000 % 60
    WHEN 'millisecond' THEN t / 10000 % 1000 WHEN 'microsecond' THEN t / 10 % 1000000 WHEN 'nanosecond' THEN t % 10000000 * 100 WHEN 'tzoffset' THEN coalesce(zone, 0) END;
END $$;
`;
